package server

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

// history is a random history, in which clients reject responses and reconnect until it is settled, and then accept all.
type history struct {
	*testServer
	settled atomic.Bool
}

var listenerNames = []string{"l0", "l1", "l2", "l3", "l4", "l5"}

// publish changes clusters, listeners and routes at random, and leaves every second one in the end.
func (h *history) publish(r *rand.Rand) {
	content := func(name string) string { return fmt.Sprint(name, " ", r.Int()) }
	types := []string{cds, lds, rds}
	for range 300 {
		var u cache.Update
		for range 1 + r.IntN(4) {
			typeURL, name := types[r.IntN(len(types))], listenerNames[r.IntN(len(listenerNames))]
			if r.IntN(3) == 0 {
				u.Delete = append(u.Delete, cache.Name{TypeURL: typeURL, Name: name})
			} else {
				u.Set = append(u.Set, res(typeURL, name, content(name)))
			}
		}
		h.cache.Publish(scope, u)
	}
	h.settled.Store(true)
	var all, half cache.Update
	for _, typeURL := range types {
		for i, name := range listenerNames {
			all.Set = append(all.Set, res(typeURL, name, content(name)))
			if i%2 == 0 {
				half.Delete = append(half.Delete, cache.Name{TypeURL: typeURL, Name: name})
			}
		}
	}
	h.cache.Publish(scope, all)
	h.cache.Publish(scope, half)
}

// published returns the content of all resources of the types, and of names if there are any.
func (h *history) published(types ...string) map[string]string {
	out := map[string]string{}
	for _, r := range h.cache.Resources(scope) {
		if slices.Contains(types, r.TypeURL()) {
			out[typeLabel(r.TypeURL())+" "+r.Name()] = string(r.Any().GetValue())
		}
	}
	return out
}

// delta follows as a delta client until it has what is published.
func (h *history) delta(ctx context.Context, r *rand.Rand) error {
	has := map[string]string{}
	for {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		str, err := discoveryv3.NewAggregatedDiscoveryServiceClient(h.conn).DeltaAggregatedResources(ctx)
		if err != nil {
			return err
		}
		for typeURL, names := range map[string][]string{cds: nil, lds: {"*"}, rds: listenerNames} {
			versions := map[string]string{}
			for key, content := range has {
				if label, name, _ := strings.Cut(key, " "); label == typeLabel(typeURL) {
					versions[name] = res(typeURL, name, content).Version()
				}
			}
			if err := str.Send(&discoveryv3.DeltaDiscoveryRequest{Node: gatewayNode("ns/gw"), TypeUrl: typeURL,
				ResourceNamesSubscribe: names, InitialResourceVersions: versions}); err != nil {
				return err
			}
		}
		for reconnect := false; !reconnect; reconnect = !h.settled.Load() && r.IntN(50) == 0 {
			if h.settled.Load() && maps.Equal(has, h.published(cds, lds, rds)) {
				return nil
			}
			resp, err := str.Recv()
			if err != nil {
				return fmt.Errorf("client has %v, published is %v: %w", has, h.published(cds, lds, rds), err)
			}
			req := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: resp.GetTypeUrl(), ResponseNonce: resp.GetNonce()}
			if !h.settled.Load() && r.IntN(4) == 0 {
				req.ErrorDetail = &rpcstatus.Status{Message: "no"}
			} else {
				for _, res := range resp.GetResources() {
					has[typeLabel(resp.GetTypeUrl())+" "+res.GetName()] = string(res.GetResource().GetValue())
				}
				for _, name := range resp.GetRemovedResources() {
					delete(has, typeLabel(resp.GetTypeUrl())+" "+name)
				}
			}
			if err := str.Send(req); err != nil {
				return err
			}
		}
		cancel()
	}
}

// state follows as a state-of-the-world client until it has what is published. Routes can't be removed in this protocol.
func (h *history) state(ctx context.Context, r *rand.Rand) error {
	names := map[string][]string{cds: nil, lds: listenerNames, rds: listenerNames}
	has := map[string]string{}
	done := func() bool {
		if !h.settled.Load() {
			return false
		}
		routes := maps.Clone(has)
		maps.DeleteFunc(routes, func(key, _ string) bool { return strings.HasPrefix(key, "routes") && h.published(rds)[key] == "" })
		return maps.Equal(routes, h.published(cds, lds, rds))
	}
	for {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		str, err := discoveryv3.NewAggregatedDiscoveryServiceClient(h.conn).StreamAggregatedResources(ctx)
		if err != nil {
			return err
		}
		for typeURL, names := range names {
			if err := str.Send(&discoveryv3.DiscoveryRequest{Node: gatewayNode("ns/gw"), TypeUrl: typeURL, ResourceNames: names}); err != nil {
				return err
			}
		}
		for reconnect := false; !reconnect; reconnect = !h.settled.Load() && r.IntN(50) == 0 {
			if done() {
				return nil
			}
			resp, err := str.Recv()
			if err != nil {
				return fmt.Errorf("client has %v, published is %v: %w", has, h.published(cds, lds, rds), err)
			}
			req := &discoveryv3.DiscoveryRequest{TypeUrl: resp.GetTypeUrl(), ResponseNonce: resp.GetNonce(), ResourceNames: names[resp.GetTypeUrl()]}
			label := typeLabel(resp.GetTypeUrl()) + " "
			if !h.settled.Load() && r.IntN(4) == 0 {
				req.ErrorDetail = &rpcstatus.Status{Message: "no"}
			} else {
				req.VersionInfo = resp.GetVersionInfo()
				if resp.GetTypeUrl() != rds {
					maps.DeleteFunc(has, func(key, _ string) bool { return strings.HasPrefix(key, label) })
				}
				for _, a := range resp.GetResources() {
					has[label+strings.Fields(string(a.GetValue()))[0]] = string(a.GetValue())
				}
			}
			if err := str.Send(req); err != nil {
				return err
			}
		}
		cancel()
	}
}

// TestHistory holds that any history of changes, acknowledgements, rejections and reconnects leaves clients of both
// protocols with exactly what is published. The deadline only turns a hang into a failure that says what is missing.
func TestHistory(t *testing.T) {
	t.Parallel()
	h := &history{testServer: serve(t)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for i := range uint64(4) {
		wg.Go(func() {
			if err := h.delta(ctx, rand.New(rand.NewPCG(i, 1))); err != nil {
				t.Errorf("delta: %v", err)
			}
		})
		wg.Go(func() {
			if err := h.state(ctx, rand.New(rand.NewPCG(i, 2))); err != nil {
				t.Errorf("state of the world: %v", err)
			}
		})
	}
	h.publish(rand.New(rand.NewPCG(1, 3)))
	wg.Wait()
}
