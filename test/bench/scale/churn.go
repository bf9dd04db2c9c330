package scale

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/bench/crowd"
	"github.com/gateway-apiserver/gateway-apiserver/test/bench/report"
	"github.com/gateway-apiserver/gateway-apiserver/test/bench/usage"
)

// slicesPerSecond is how many EndpointSlices change in a second of churn, besides one route.
const slicesPerSecond = 10

// churn: a node has many routes, each with a Service of its own, and a route and some endpoints change each second.
func churn(ctx context.Context, b *Bench) (rows []report.Row, err error) {
	s, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.loadApplications(ctx, b.ChurnRoutes); err != nil {
		return nil, err
	}
	var names []string
	for i := range b.ChurnRoutes {
		names = append(names, fmt.Sprintf("%s/app-%d:80", namespace, i))
	}
	clients, err := s.connect(ctx, 1, "gw", append(asEnvoy("gw"), crowd.Subscription{TypeURL: resource.EndpointType, Names: names})...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, clients.Stop()) }()
	if _, err := s.settled(ctx, b.Settle); err != nil {
		return nil, err
	}
	cores, most, err := s.churn(ctx, b)
	if err != nil {
		return nil, err
	}
	// What was changed has arrived if what is changed now does.
	marker, write := s.mark(ctx, "app-0", "after-churn.")
	if _, err := follow(ctx, clients, resource.RouteType, marker, write); err != nil {
		return nil, err
	}
	series, err := s.series(ctx)
	if err != nil {
		return nil, err
	}
	mib := float64(most) / (1 << 20)
	of := fmt.Sprintf("%d routes, one change and %d of endpoints a second", b.ChurnRoutes, slicesPerSecond)
	return []report.Row{
		{What: "CPU, " + of, Figure: fmt.Sprintf("%.3f cores", cores), Target: "under 0.1", Verdict: report.Judge(cores, 0.1)},
		{What: "memory at most, " + of, Figure: fmt.Sprintf("%.0f MiB", mib), Target: "under 450 MiB", Verdict: report.Judge(mib, 450)},
		{What: fmt.Sprintf("metric series, %d routes", b.ChurnRoutes), Figure: fmt.Sprint(series), Target: "under 1000", Verdict: report.Judge(series, 1000)},
	}, nil
}

// loadApplications stores routes of one Gateway, each with a Service and its endpoints.
func (s *server) loadApplications(ctx context.Context, n int) error {
	name := func(i int) string { return fmt.Sprintf("app-%d", i) }
	return errors.Join(
		s.create(ctx, gateways, 1, func(int) object { return gateway("gw") }),
		s.create(ctx, services, n, func(i int) object { return service(name(i)) }),
		s.create(ctx, endpointSlices, n, func(i int) object { return slice(name(i), i) }),
		s.create(ctx, httpRoutes, n, func(i int) object { return route(name(i), "gw", name(i)) }),
	)
}

// churn changes things at a steady rate, and returns the cores that the server used meanwhile and the most memory that it had.
func (s *server) churn(ctx context.Context, b *Bench) (cores float64, most int64, err error) {
	before, err := usage.CPU(s.pid())
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	ticker := time.NewTicker(time.Second / slicesPerSecond)
	defer ticker.Stop()
	for i := 0; time.Since(began) < b.Churn; i++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		}
		if i%slicesPerSecond == 0 {
			_, write := s.mark(ctx, fmt.Sprintf("app-%d", i%b.ChurnRoutes), fmt.Sprintf("churn-%d.", i))
			if err := write(); err != nil {
				return 0, 0, err
			}
		}
		patch, err := json.Marshal(object{"endpoints": endpoints(b.ChurnRoutes + i)})
		if err != nil {
			return 0, 0, err
		}
		// Neighbours are not of the same time: 7919 is prime.
		if err := s.patch(ctx, endpointSlices, fmt.Sprintf("app-%d", i*7919%b.ChurnRoutes), string(patch)); err != nil {
			return 0, 0, err
		}
		now, err := usage.Memory(s.pid())
		if err != nil {
			return 0, 0, err
		}
		most = max(most, now)
	}
	took := time.Since(began)
	after, err := usage.CPU(s.pid())
	return float64(after-before) / float64(took), most, err
}
