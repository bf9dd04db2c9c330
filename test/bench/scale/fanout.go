package scale

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/bench/crowd"
	"github.com/gateway-apiserver/gateway-apiserver/test/bench/report"
)

// clusterChange: many streams have many clusters, one of which changes.
func clusterChange(ctx context.Context, b *Bench) (_ []report.Row, err error) {
	s, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.loadClusters(ctx, b.Clusters); err != nil {
		return nil, err
	}
	clients, err := s.connect(ctx, b.ClusterStreams, "gw", crowd.Subscription{TypeURL: resource.ClusterType})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, clients.Stop()) }()
	took, err := rounds(ctx, b.Rounds, clients, resource.ClusterType, func(i int) (string, func() error) {
		// The port of the Service comes to speak HTTP/2, and with it its cluster.
		name := clusterService(i % b.Clusters)
		return namespace + "/" + name + ":80", func() error {
			return s.patch(ctx, services, name, `{"spec":{"ports":[{"name":"http","port":80,"appProtocol":"kubernetes.io/h2c"}]}}`)
		}
	})
	if err != nil {
		return nil, err
	}
	return took.rows(fmt.Sprintf("%d streams x %d clusters, one change, to the last stream", b.ClusterStreams, b.Clusters), 20*time.Millisecond), nil
}

// The most rules of a route, and backends of a rule.
const rulesOfRoute, backendsOfRule = 16, 16

// loadClusters stores a Gateway with that many clusters.
func (s *server) loadClusters(ctx context.Context, n int) error {
	if err := s.create(ctx, gateways, 1, func(int) object { return gateway("gw") }); err != nil {
		return err
	}
	if err := s.create(ctx, services, n, func(i int) object { return service(clusterService(i)) }); err != nil {
		return err
	}
	const perRoute = rulesOfRoute * backendsOfRule
	return s.create(ctx, httpRoutes, (n+perRoute-1)/perRoute, func(i int) object {
		name := fmt.Sprintf("r-%d", i)
		out := route(name, "gw", clusterService(i*perRoute))
		var rules []any
		for first := i * perRoute; first < min(n, (i+1)*perRoute); first += backendsOfRule {
			var backends []any
			for j := first; j < min(n, first+backendsOfRule); j++ {
				backends = append(backends, object{"name": clusterService(j), "port": int64(80)})
			}
			r := rule(name, "")
			r["matches"] = []any{object{"path": object{"type": "PathPrefix", "value": fmt.Sprintf("/%d", first)}}}
			r["backendRefs"] = backends
			rules = append(rules, r)
		}
		out["spec"].(object)["rules"] = rules
		return out
	})
}

func clusterService(i int) string { return fmt.Sprintf("s-%05d", i) }

// fleet: one route changes in a table that many Envoys have. On the way there, what an Envoy costs that is connected and idle.
func fleet(ctx context.Context, b *Bench) (rows []report.Row, err error) {
	return b.fleet(ctx, "plaintext", b.Hosts)
}

// tlsFleet is fleet with mutual TLS, and the smallest table.
func tlsFleet(ctx context.Context, b *Bench) (rows []report.Row, err error) {
	return b.fleet(ctx, "mutual TLS", b.Hosts[:1], "--xds-tls")
}

func (b *Bench) fleet(ctx context.Context, how string, tables []int, flags ...string) (rows []report.Row, err error) {
	s, err := b.start(ctx, flags...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if len(flags) > 0 {
		if err := s.certify(ctx, "gw-0"); err != nil {
			return nil, err
		}
	}
	stored := 0
	for _, hosts := range tables {
		if err := s.loadRoutes(ctx, stored, hosts, slices.Max(tables)); err != nil {
			return rows, err
		}
		stored = hosts
		found, err := s.fleet(ctx, b, how, hosts)
		rows = append(rows, found...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// fleet connects Envoys, looks what that costs in memory, and changes a route.
func (s *server) fleet(ctx context.Context, b *Bench, how string, hosts int) (rows []report.Row, err error) {
	before, err := s.settled(ctx, b.Settle)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	clients, err := s.connect(ctx, b.Streams, "gw-0", asEnvoy("gw-0")...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, clients.Stop()) }()
	b.Log.Info("Connected", "streams", b.Streams, "hosts", hosts, "took", time.Since(began))
	if hosts == 1 { // with more, buffers that the clients of before have used are used again
		used, err := s.settled(ctx, b.Settle)
		if err != nil {
			return nil, err
		}
		each := float64(used-before) / 1024 / float64(b.Streams)
		rows = append(rows, report.Row{
			What:   fmt.Sprintf("memory of an idle stream, %s (%d, each on its own connection)", how, b.Streams),
			Figure: fmt.Sprintf("%.3g KiB", each), Target: "under 50 KiB", Verdict: report.Judge(each, 50),
		})
	}
	took, err := rounds(ctx, b.Rounds, clients, resource.RouteType, func(i int) (string, func() error) {
		return s.mark(ctx, "r-0", fmt.Sprintf("fleet-%d-%d.", hosts, i))
	})
	if err != nil {
		return rows, err
	}
	what := fmt.Sprintf("%d streams, %s, one route of %d changed, to the last stream", b.Streams, how, hosts)
	return append(rows, took.rows(what, time.Second)...), nil
}

// changes are rounds of the same.
type changes []change

// pause is between rounds, for acknowledgements and garbage of the last one.
const pause = 100 * time.Millisecond

// rounds makes changes one after the other.
func rounds(ctx context.Context, n int, clients *crowd.Process, typeURL string, change func(i int) (marker string, write func() error)) (changes, error) {
	var out changes
	for i := range n {
		marker, write := change(i)
		c, err := follow(ctx, clients, typeURL, marker, write)
		if err != nil {
			return out, fmt.Errorf("change %d: %w", i, err)
		}
		out = append(out, c)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return out, ctx.Err()
		}
	}
	return out, nil
}

// rows has the target's figure: the median of the times from when the request of the write is sent to when the last stream has
// the change. So the write is in it.
func (c changes) rows(what string, limit time.Duration) []report.Row {
	var whole, spread []time.Duration
	size := 0
	for _, one := range c {
		size = max(size, one.Size)
		whole = append(whole, one.Last.Sub(one.sent))
		spread = append(spread, one.Last.Sub(one.First))
	}
	p50 := report.Quantile(whole, 0.5)
	return []report.Row{{
		What: what, Figure: report.Duration(p50), Target: "under " + report.Duration(limit), Verdict: report.Judge(p50, limit),
		Details: fmt.Sprintf("worst of %d: %s; from the first stream to the last: %s; %.3g KB each", len(whole),
			report.Duration(report.Quantile(whole, 1)), report.Duration(report.Quantile(spread, 0.5)), float64(size)/1000),
	}}
}
