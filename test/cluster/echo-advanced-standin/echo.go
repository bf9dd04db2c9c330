package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The fields of an answer that the suite reads, one a line, as NAME=VALUE.
const (
	statusCode     = "StatusCode"
	serviceVersion = "ServiceVersion"
	servicePort    = "ServicePort"
	host           = "Host"
	requestURL     = "URL"
	method         = "Method"
	protocol       = "Proto"
	requesterIP    = "IP"
	alpn           = "Alpn"
	requestHeader  = "RequestHeader"
	responseHeader = "ResponseHeader"
	hostname       = "Hostname"
)

func writeField(b *strings.Builder, name, value string) { fmt.Fprintf(b, "%s=%s\n", name, value) }

// writeHeaders writes a line for each value of each header, as KEY:VALUE.
func writeHeaders(b *strings.Builder, prefix, name string, header http.Header) {
	keys := make([]string, 0, len(header))
	for key := range header {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		for _, value := range header[key] {
			b.WriteString(prefix)
			writeField(b, name, key+":"+value)
		}
	}
}

func ownName() string {
	name, err := os.Hostname()
	if err != nil {
		return err.Error()
	}
	return name
}

// echoMethod is the method of Istio's service proto.EchoTestService. Its messages have one field, a string with number 1,
// which is what StringValue is, too.
const echoMethod = "/proto.EchoTestService/Echo"

// echoServer answers the method.
type echoServer interface {
	Echo(context.Context, *wrapperspb.StringValue) (*wrapperspb.StringValue, error)
}

var echoService = grpc.ServiceDesc{
	ServiceName: "proto.EchoTestService",
	HandlerType: (*echoServer)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Echo",
		Handler: func(server any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			request := &wrapperspb.StringValue{}
			if err := decode(request); err != nil {
				return nil, err
			}
			return server.(echoServer).Echo(ctx, request)
		},
	}},
}
