package election

import (
	"context"
	"errors"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
)

// Prefix is below what the candidates of servers are in etcd that store their objects under storagePrefix. It is beside
// that, so that no object is ever taken for a candidate.
func Prefix(storagePrefix string) string { return storagePrefix + ".election" }

const (
	// leaseSeconds is how long etcd keeps the place of a leader that it doesn't hear of.
	leaseSeconds = 5
	// retryAfter is how long a candidate waits that could not reach etcd.
	retryAfter = time.Second
	// resignTimeout bounds how long a replica that stops may take to make way.
	resignTimeout = 2 * time.Second
)

var leader = metrics.NewGauge(&metrics.GaugeOpts{
	Namespace: "gateway_apiserver", Name: "leader",
	Help:           "1 if this replica settles what the writes of other replicas leave behind, 0 if another one does.",
	StabilityLevel: metrics.ALPHA,
})

var registerMetrics = sync.OnceFunc(func() { legacyregistry.MustRegister(leader) })

// Run stands for election under prefix as name until ctx ends. Whenever it is elected, lead is called, with a context that ends
// when it isn't the leader any more; Run stands again when lead has returned. A replica that stops makes way at once, one
// that dies after its lease.
func Run(ctx context.Context, client *clientv3.Client, prefix, name string, lead func(context.Context)) {
	registerMetrics()
	logger := klog.FromContext(ctx).WithValues("replica", name)
	for ctx.Err() == nil {
		if err := stand(ctx, client, prefix, name, lead); err != nil && ctx.Err() == nil {
			logger.Error(err, "Standing for election as the leader; will try again")
			select {
			case <-ctx.Done():
			case <-time.After(retryAfter):
			}
		}
	}
}

// stand waits to be elected, and leads.
func stand(ctx context.Context, client *clientv3.Client, prefix, name string, lead func(context.Context)) error {
	// The session outlives ctx by as long as giving up its lease may take.
	sessionCtx, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(resignTimeout, abandon) })()
	// A candidate that gives up withdraws for as long as its client lives: this one lives as long as the session.
	bounded := clientv3.NewCtxClient(sessionCtx)
	bounded.KV, bounded.Lease, bounded.Watcher = client.KV, client.Lease, client.Watcher
	session, err := concurrency.NewSession(bounded, concurrency.WithTTL(leaseSeconds), concurrency.WithContext(sessionCtx))
	if err != nil {
		return err
	}
	defer session.Close() // or the lease runs out
	// A candidate without a lease isn't one any more, but would wait until those before it are gone.
	held, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(session.Ctx(), stop)()
	if err := concurrency.NewElection(session, prefix).Campaign(held, name); err != nil {
		if ctx.Err() == nil && held.Err() != nil {
			return errExpired
		}
		return err
	}
	logger := klog.FromContext(ctx).WithValues("replica", name)
	logger.Info("Leading: this replica settles what the writes of others leave behind")
	leader.Set(1)
	defer leader.Set(0)

	lead(held)
	if ctx.Err() != nil {
		return nil
	}
	return errExpired
}

var errExpired = errors.New("the lease in etcd has expired")
