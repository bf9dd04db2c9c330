package crowd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"

	xdsclient "github.com/gateway-apiserver/gateway-apiserver/pkg/xds/client"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// contents are resources as they came, by type and name.
type contents map[resourceKey]resource

type resourceKey struct{ typeURL, name string }

type resource struct{ version, bytes string }

// read reads all that a Gateway's node is served, following every reference.
func read(ctx context.Context, address, gateway string) (contents, error) {
	taken := contents{}
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainStreamInterceptor(taken.intercept),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 2 * time.Millisecond, Multiplier: 1, MaxDelay: 2 * time.Millisecond},
			MinConnectTimeout: 10 * time.Second,
		}),
	)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	metadata, err := structpb.NewStruct(map[string]any{nodes.GatewayKey: gateway})
	if err != nil {
		return nil, err
	}
	_, err = xdsclient.Fetch(ctx, conn, xdsclient.Query{Node: &corev3.Node{Id: "bench-reader", Metadata: metadata}})
	return taken, err
}

// intercept takes down what is received on a stream before anybody decodes it.
func (c contents) intercept(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := open(ctx, desc, conn, method, options...)
	return taking{stream, c}, err
}

type taking struct {
	grpc.ClientStream
	into contents
}

func (t taking) RecvMsg(m any) error {
	if err := t.ClientStream.RecvMsg(m); err != nil {
		return err
	}
	if r, ok := m.(*discoveryv3.DeltaDiscoveryResponse); ok {
		for _, res := range r.GetResources() {
			t.into[resourceKey{r.GetTypeUrl(), res.GetName()}] = resource{res.GetVersion(), string(res.GetResource().GetValue())}
		}
		for _, name := range r.GetRemovedResources() {
			delete(t.into, resourceKey{r.GetTypeUrl(), name})
		}
	}
	return nil
}

// Reread says when a reader had again what it had before.
type Reread struct {
	At        time.Time
	Attempts  int // readings that were answered, the last of which got the same
	Resources map[string]int
}

// again reads until it gets what was read before, and nothing else.
func again(ctx context.Context, address, gateway string, before contents) (Reread, error) {
	if len(before) == 0 {
		return Reread{}, errors.New("nothing has been read before")
	}
	for attempts := 1; ; attempts++ {
		if err := listening(ctx, address); err != nil {
			return Reread{}, err
		}
		now, err := read(ctx, address, gateway)
		at := time.Now()
		different := differences(before, now)
		if err == nil && different == nil {
			return Reread{At: at, Attempts: attempts, Resources: count(now)}, nil
		}
		if ctx.Err() != nil {
			return Reread{}, errors.Join(different, err, ctx.Err())
		}
	}
}

// listening returns when somebody listens.
func listening(ctx context.Context, address string) error {
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// differences names some of the resources that differ; nil if none does.
func differences(before, now contents) error {
	var names []string
	for key, r := range before {
		if n, ok := now[key]; !ok || n != r {
			names = append(names, key.typeURL+" "+key.name)
		}
	}
	for key := range now {
		if _, ok := before[key]; !ok {
			names = append(names, key.typeURL+" "+key.name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return fmt.Errorf("%d resources differ, such as %q", len(names), names[:min(3, len(names))])
}

func count(c contents) map[string]int {
	out := map[string]int{}
	for key := range maps.Keys(c) {
		out[key.typeURL]++
	}
	return out
}
