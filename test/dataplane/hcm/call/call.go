package call

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/upstream"
)

// maxMessage bounds what is read of a response, in bytes: Envoy's default limit for what it buffers.
const maxMessage = 1 << 20

// Clusters are what can be called.
type Clusters interface {
	// Cluster returns a cluster by its name; nil if there is none.
	Cluster(name string) *upstream.Cluster
}

// HTTP sends a request to a host of a cluster. The response has all of its body. ctx bounds all of it.
func HTTP(ctx context.Context, clusters Clusters, cluster string, r *http.Request) (*http.Response, []byte, error) {
	c := clusters.Cluster(cluster)
	if c == nil {
		return nil, nil, fmt.Errorf("no cluster %q", cluster)
	}
	host, err := c.Pick(upstream.Choice{})
	if err != nil {
		return nil, nil, err
	}
	Mark(r.Header)
	response, err := c.RoundTrip(ctx, host, r)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxMessage+1))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, nil, err
	}
	if len(body) > maxMessage {
		return nil, nil, fmt.Errorf("the response has more than %d bytes", maxMessage)
	}
	return response, body, nil
}

// GRPC is a method that takes one message and returns one.
type GRPC struct {
	Cluster   string
	Authority string // empty is the name of the cluster
	Method    string // "/package.Service/Method"
	Timeout   time.Duration
}

// Do calls the method. The cluster has to speak HTTP/2. Errors that the server returns are those of package status.
func (g GRPC) Do(ctx context.Context, clusters Clusters, in, out proto.Message) error {
	message, err := proto.Marshal(in)
	if err != nil {
		return err
	}
	header := http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
	if g.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, g.Timeout)
		defer cancel()
		header.Set("Grpc-Timeout", strconv.FormatInt(g.Timeout.Milliseconds(), 10)+"m")
	}
	authority := g.Authority
	if authority == "" {
		authority = g.Cluster
	}
	data := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	data = append(data, message...)
	response, body, err := HTTP(ctx, clusters, g.Cluster, &http.Request{
		Method: http.MethodPost, URL: upstream.Target("http", g.Method), Host: authority, Header: header,
		Body: io.NopCloser(bytes.NewReader(data)), ContentLength: int64(len(data)),
	})
	if err != nil {
		return err
	}
	return read(response, body, out)
}

func read(response *http.Response, body []byte, out proto.Message) error {
	if response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Header.Get("Content-Type"), "application/grpc") {
		return fmt.Errorf("not a response of gRPC: %s", response.Status)
	}
	trailer := response.Trailer
	if _, only := response.Header["Grpc-Status"]; only {
		trailer = response.Header
	}
	code, err := strconv.ParseUint(trailer.Get("Grpc-Status"), 10, 32)
	if err != nil {
		return fmt.Errorf("grpc-status: %w", err)
	}
	if code != 0 {
		message, err := url.PathUnescape(trailer.Get("Grpc-Message"))
		if err != nil {
			message = trailer.Get("Grpc-Message")
		}
		return status.Error(codes.Code(code), message)
	}
	if len(body) < 5 || body[0] != 0 || int(binary.BigEndian.Uint32(body[1:])) != len(body)-5 {
		return errors.New("the response isn't one message that isn't compressed")
	}
	return proto.Unmarshal(body[5:], out)
}
