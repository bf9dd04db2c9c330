package scale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/bench/report"
)

// routesOfService is how many routes share a Service.
const routesOfService = 10

// loadRoutes stores routes from number `from` to number `to`, so many on each Gateway, with their Services.
func (s *server) loadRoutes(ctx context.Context, from, to, perGateway int) error {
	gatewayOf := func(i int) string { return fmt.Sprintf("gw-%d", i/perGateway) }
	serviceOf := func(i int) string { return fmt.Sprintf("s-%d", i/routesOfService) }
	some := func(every int, create func(first, n int) error) error {
		first, end := (from+every-1)/every, (to+every-1)/every
		return create(first, end-first)
	}
	return errors.Join(
		some(perGateway, func(first, n int) error {
			return s.create(ctx, gateways, n, func(i int) object { return gateway(fmt.Sprintf("gw-%d", first+i)) })
		}),
		some(routesOfService, func(first, n int) error {
			return s.create(ctx, services, n, func(i int) object { return service(fmt.Sprintf("s-%d", first+i)) })
		}),
		s.create(ctx, httpRoutes, to-from, func(i int) object {
			i += from
			return route(fmt.Sprintf("r-%d", i), gatewayOf(i), serviceOf(i))
		}),
	)
}

// mark returns a write that puts a marker into a route, and the marker.
func (s *server) mark(ctx context.Context, route, marker string) (string, func() error) {
	return marker, func() error {
		patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/rules/0/filters/0/requestHeaderModifier/set/0/value","value":%q}]`, marker)
		return s.jsonPatch(ctx, httpRoutes, route, patch)
	}
}

// propagation: a route is changed, and an Envoy has the change, with some routes and with more: first where Gateways have
// some routes each, then where one has them all.
func propagation(ctx context.Context, b *Bench) ([]report.Row, error) {
	rows, err := b.propagate(ctx, b.PerGateway, true)
	if err != nil {
		return rows, err
	}
	more, err := b.propagate(ctx, b.MoreRoutes, false)
	return append(rows, more...), err
}

func (b *Bench) propagate(ctx context.Context, perGateway int, target bool) (rows []report.Row, err error) {
	s, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	var p99 []time.Duration
	for i, n := range []int{b.Routes, b.MoreRoutes} {
		began := time.Now()
		if err := s.loadRoutes(ctx, i*b.Routes, n, perGateway); err != nil {
			return rows, err
		}
		b.Log.Info("Loaded", "routes", n, "took", time.Since(began))
		took, err := s.propagate(ctx, b.Samples, fmt.Sprintf("routes-%d", n))
		if err != nil {
			return rows, err
		}
		var whole, after []time.Duration
		for _, c := range took {
			whole = append(whole, c.Last.Sub(c.sent))
			after = append(after, max(0, c.Last.Sub(c.returned)))
		}
		size := float64(took[len(took)-1].Size) / 1000
		p99 = append(p99, report.Quantile(whole, 0.99))
		on := fmt.Sprintf("Gateways of %d", perGateway)
		if perGateway >= b.MoreRoutes {
			on = "one Gateway"
		}
		row := report.Row{
			What:   fmt.Sprintf("propagation p99, %d routes on %s, from the request to the node", n, on),
			Figure: report.Duration(p99[i]),
			Details: fmt.Sprintf("p50 %s; from the response: p50 %s, p99 %s; %.3g KB", report.Duration(report.Quantile(whole, 0.5)),
				report.Duration(report.Quantile(after, 0.5)), report.Duration(report.Quantile(after, 0.99)), size),
		}
		if i == 0 {
			row.Target, row.Verdict = "under 10 ms", report.Judge(p99[i], 10*time.Millisecond)
		} else {
			ratio := float64(p99[i]) / float64(p99[0])
			row.Figure = fmt.Sprintf("%s, %.2f times that of %d", row.Figure, ratio, b.Routes)
			row.Target, row.Verdict = "under 1.5 times", report.Judge(ratio, 1.5)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// propagate follows writes of a route, one after the other.
func (s *server) propagate(ctx context.Context, samples int, text string) (took changes, err error) {
	clients, err := s.connect(ctx, 1, "gw-0", asEnvoy("gw-0")...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, clients.Stop()) }()
	for i := range samples {
		marker, write := s.mark(ctx, "r-7", fmt.Sprintf("%s-%d.", text, i))
		c, err := follow(ctx, clients, resource.RouteType, marker, write)
		if err != nil {
			return took, fmt.Errorf("write %d: %w", i, err)
		}
		took = append(took, c)
	}
	return took, nil
}
