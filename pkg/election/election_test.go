package election_test

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/election"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
)

var prefix = election.Prefix("/objects")

// candidate is a replica that stands for election.
type candidate struct {
	client      *clientv3.Client
	stop        context.CancelFunc
	leads, lost chan struct{}
	ended       chan struct{}
}

func stand(t *testing.T, endpoint, name string, options ...grpc.DialOption) *candidate {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	c := &candidate{client: client, stop: stop, leads: make(chan struct{}, 8), lost: make(chan struct{}, 8), ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		election.Run(ctx, client, prefix, name, func(ctx context.Context) {
			c.leads <- struct{}{}
			<-ctx.Done()
			c.lost <- struct{}{}
		})
	}()
	t.Cleanup(func() {
		stop()
		<-c.ended
		client.Close()
	})
	return c
}

func TestElection(t *testing.T) {
	t.Parallel()
	server, err := etcd.Start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)

	first := stand(t, server.Endpoint(), "first")
	<-first.leads
	second := stand(t, server.Endpoint(), "second")
	waitForCandidates(t, first.client, 2)
	if len(second.leads) != 0 {
		t.Fatal("two replicas lead")
	}

	// One that stops makes way.
	first.stop()
	<-first.ended
	<-second.leads
	if len(first.lost) != 1 {
		t.Error("the first was not told that it doesn't lead any more")
	}

	// One whose lease has gone learns it, and stands again.
	third := stand(t, server.Endpoint(), "third")
	waitForCandidates(t, third.client, 2)
	if _, err := third.client.Revoke(t.Context(), leaseOf(t, third.client, "second")); err != nil {
		t.Fatal(err)
	}
	<-second.lost
	<-third.leads
	waitForCandidates(t, third.client, 2)

	// So does one that doesn't lead.
	if _, err := third.client.Revoke(t.Context(), leaseOf(t, third.client, "second")); err != nil {
		t.Fatal(err)
	}
	waitForCandidates(t, third.client, 2)
}

// cutConn is a connection on which nothing arrives any more once it is cut, and nobody is told.
type cutConn struct {
	net.Conn
	cut *atomic.Bool
}

func (c cutConn) Write(p []byte) (int, error) {
	if c.cut.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// TestStopWhileCut is about a candidate that is told to stop while it can't reach etcd.
func TestStopWhileCut(t *testing.T) {
	t.Parallel()
	server, err := etcd.Start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	first := stand(t, server.Endpoint(), "first")
	<-first.leads
	var cut atomic.Bool
	second := stand(t, server.Endpoint(), "second", grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(server.Endpoint(), "unix://"))
		return cutConn{conn, &cut}, err
	}))
	waitForCandidates(t, first.client, 2)

	cut.Store(true)
	second.stop()
	<-second.ended
}

func waitForCandidates(t *testing.T, client *clientv3.Client, n int64) {
	t.Helper()
	for {
		got, err := client.Get(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil {
			t.Fatal(err)
		}
		if got.Count == n {
			return
		}
	}
}

func leaseOf(t *testing.T, client *clientv3.Client, name string) clientv3.LeaseID {
	t.Helper()
	got, err := client.Get(t.Context(), prefix, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range got.Kvs {
		if string(kv.Value) == name {
			return clientv3.LeaseID(kv.Lease)
		}
	}
	t.Fatalf("%s is no candidate", name)
	return 0
}
