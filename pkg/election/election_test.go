package election_test

import (
	"context"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

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

func stand(t *testing.T, endpoint, name string) *candidate {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}})
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
