package app

import (
	"context"
	"sync"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/engine"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/fleet"
	xdsserver "github.com/gateway-apiserver/gateway-apiserver/pkg/xds/server"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/verdict"
)

// rejectionsKey is what the key is for that seals Secrets in records of rejections (pki.CA.Derive).
const rejectionsKey = "gateway-apiserver.dev/xds/rejections"

// feedback brings what xDS clients take and refuse to etcd, and what is there of the clients of all replicas to the engine.
type feedback struct {
	verdicts *verdict.Store
	fleet    *fleet.Store
	config   fleet.Config
}

// newFeedback connects a server's parts, none of which runs yet. Without a key, rejected versions of Secrets have nothing kept
// that is served instead.
func (s *server) newFeedback(key []byte) (*feedback, error) {
	verdicts, err := verdict.New(verdict.Config{Client: s.etcd, Prefix: verdict.Prefix(s.prefix), Cache: s.cache, Key: key})
	if err != nil {
		return nil, err
	}
	f := &feedback{verdicts: verdicts, fleet: fleet.New(), config: fleet.Config{
		Client: s.etcd, Prefix: fleet.Prefix(s.prefix), Replica: s.replica, Deliveries: s.cache,
	}}
	for kind, store := range s.api.Stores {
		if kind.Kind == "EnvoyNode" {
			f.config.Objects = store
		}
	}
	s.cache.OnReject(func(r cache.Rejection) {
		node, _ := r.Node.(string)
		verdicts.Reject(r, node)
	})
	s.cache.OnLift(verdicts.Lifted)
	s.cache.OnDelivery(f.fleet.Delivered)
	s.cache.OnCurrent(fleet.ObserveDelivery)
	verdicts.Follow(func(records []verdict.Record) { s.engine.SetRejections(rejections(records)) })
	f.fleet.Follow(func(scope string, reports []fleet.Report) { s.engine.SetDeliveries(scope, deliveries(reports)) })
	return f, nil
}

// run keeps records of rejections until stop is called.
func (f *feedback) run(ctx context.Context) (stop func()) {
	return background(ctx, f.verdicts.Run)
}

// report reports the nodes of an xDS server, nil if there is none, and hears of those of other replicas, until stop is called.
func (f *feedback) report(ctx context.Context, xds *xdsserver.Server) (stop func()) {
	config := f.config
	if xds != nil {
		config.Nodes = xds
	}
	return background(ctx, func(ctx context.Context) { f.fleet.Run(ctx, config) })
}

// background runs a function, whose context ends when stop is called and not before, and which stop waits for.
func background(ctx context.Context, run func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

func rejections(records []verdict.Record) []engine.Rejection {
	out := make([]engine.Rejection, 0, len(records))
	for _, r := range records {
		rejection := engine.Rejection{
			Scope: r.Scope, TypeURL: r.Name.TypeURL, Name: r.Name.Name, Version: r.Version, Message: r.Message, Nodes: r.Nodes, More: r.More,
		}
		if r.Good != nil {
			rejection.Good = r.Good.Any().GetValue()
		}
		out = append(out, rejection)
	}
	return out
}

func deliveries(reports []fleet.Report) []engine.Delivery {
	out := make([]engine.Delivery, 0, len(reports))
	for _, r := range reports {
		out = append(out, engine.Delivery(r))
	}
	return out
}
