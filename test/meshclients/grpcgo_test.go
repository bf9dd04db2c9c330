package meshclients

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/xds"
)

// callTimeout is when clients give up a call. No scenario lasts that long.
const callTimeout = time.Minute

// passedBy is the outcome of calls that no route is executed for, wherever they end up.
const passedBy = "PASSED_BY"

// startGo runs grpc-go in this process.
func startGo(t *testing.T, s *scene, namespace string) func([]request) ([]answer, error) {
	builder, err := xds.NewXDSResolverWithConfigForTesting([]byte(s.bootstrap(t, "--proxyless", namespace, "--node-id", t.Name())))
	if err != nil {
		t.Fatal(err)
	}
	return callAll(t, func(host string) (*grpc.ClientConn, error) {
		return grpc.NewClient("xds:///"+host, grpc.WithResolvers(builder), grpc.WithTransportCredentials(insecure.NewCredentials()))
	})
}

// callAll makes calls with grpc-go, over one connection for each host. Those to a host without one pass the mesh by.
func callAll(t *testing.T, dial func(host string) (*grpc.ClientConn, error)) func([]request) ([]answer, error) {
	return func(requests []request) (answers []answer, err error) {
		conns := map[string]*grpc.ClientConn{}
		for _, r := range requests {
			conn, dialled := conns[r.Host]
			if !dialled {
				if conn, err = dial(r.Host); err != nil {
					return answers, err
				}
				conns[r.Host] = conn
				if conn != nil {
					t.Cleanup(func() { conn.Close() })
				}
			}
			if conn == nil {
				answers = append(answers, answer{Code: passedBy})
				continue
			}
			answers = append(answers, callOnce(t.Context(), conn, r))
		}
		return answers, nil
	}
}

func callOnce(ctx context.Context, conn *grpc.ClientConn, r request) answer {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for _, m := range r.Metadata {
		ctx = metadata.AppendToOutgoingContext(ctx, m[0], m[1])
	}
	var in, out []byte
	if err := conn.Invoke(ctx, r.Method, &in, &out, grpc.ForceCodec(raw{})); err != nil {
		s := status.Convert(err)
		return answer{Code: code.Code(s.Code()).String(), Message: s.Message()}
	}
	return answer{Backend: string(out)}
}

// raw has messages be bytes.
type raw struct{}

func (raw) Name() string { return "" }

func (raw) Marshal(v any) ([]byte, error) {
	message, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("%T is not bytes", v)
	}
	return *message, nil
}

func (raw) Unmarshal(data []byte, v any) error {
	message, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("%T is not bytes", v)
	}
	*message = append([]byte(nil), data...)
	return nil
}
