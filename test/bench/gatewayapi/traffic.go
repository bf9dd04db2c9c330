package gatewayapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// routePropagation creates one route after the other, and sends requests to each until the data plane knows it.
func routePropagation(ctx context.Context, r *run) (err error) {
	gw, err := r.createGateway(ctx, true)
	if err != nil {
		return err
	}
	address, err := r.address(gw)
	if err != nil {
		return err
	}
	p := &prober{client: &http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, address: address, want: http.StatusFound}
	build := redirect
	what := "redirects"
	if r.Backend != "" {
		var stop func() error
		if stop, err = r.serveBackend(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
		p.want, what = http.StatusOK, "reaches a backend"
		build = func(name string) object { return route(name, host(name), "/", "app", object{"name": GatewayName}) }
	}
	if err := r.until(ctx, "the data plane listens", func() (bool, error) {
		_, err := p.ask(ctx, "nothing")
		return err == nil, ctx.Err()
	}); err != nil {
		return err
	}
	var fromRequest, fromResponse []time.Duration
	for i := range r.Routes {
		name := fmt.Sprintf("route-%d", i)
		sent := time.Now()
		if err := r.createOne(ctx, routes, r.Namespace, build(name)); err != nil {
			return err
		}
		returned := time.Now()
		at, err := p.wait(ctx, r.Patience, name)
		if err != nil {
			return err
		}
		fromRequest = append(fromRequest, at.Sub(sent))
		fromResponse = append(fromResponse, at.Sub(returned))
	}
	// Quantiles sort.
	late := append([]time.Duration(nil), fromResponse[len(fromResponse)*9/10:]...)
	r.row(fmt.Sprintf("a new route %s, from the response to its create (%d routes)", what, r.Routes), "%s", summary(fromResponse))
	r.row("the same, the last tenth of the routes", "%s", summary(late))
	r.row("the same, from the request", "%s", summary(fromRequest))
	r.row("requests answered with neither 404 nor success", "%d of %d", p.errors, p.requests)
	return nil
}

// prober asks a data plane.
type prober struct {
	client           *http.Client
	address          string
	want             int // status of a route that is known
	requests, errors int
}

// between is how long a prober waits after an answer that isn't wanted.
const between = time.Millisecond

// ask returns the status of a request for a route.
func (p *prober) ask(ctx context.Context, route string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/", nil)
	if err != nil {
		return 0, err
	}
	request.Host = host(route)
	response, err := p.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// wait returns when the answer came that a route is known. Answers that are neither this nor that it isn't are errors of the data
// plane, and so are requests without an answer.
func (p *prober) wait(ctx context.Context, patience time.Duration, route string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		status, err := p.ask(ctx, route)
		now := time.Now()
		p.requests++
		switch {
		case err == nil && status == p.want:
			return now, nil
		case err != nil || status != http.StatusNotFound:
			p.errors++
		}
		select {
		case <-time.After(between):
		case <-ctx.Done():
			return now, fmt.Errorf("route %s is not known to the data plane; the last answer was %d: %w", route, status, errors.Join(err, ctx.Err()))
		}
	}
}

// serveBackend answers requests on the address of the options, and makes that the endpoint of the Service app.
func (r *run) serveBackend(ctx context.Context) (stop func() error, err error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(r.Backend, "0"))
	if err != nil {
		return nil, err
	}
	backend := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }),
		ReadHeaderTimeout: 10 * time.Second,
	}
	go backend.Serve(listener) //nolint:errcheck // always ErrServerClosed
	port := int64(listener.Addr().(*net.TCPAddr).Port)
	if err := errors.Join(
		r.createOne(ctx, services, r.Namespace, service("app")),
		r.createOne(ctx, endpointSlices, r.Namespace, slice("app", port, r.Backend)),
	); err != nil {
		return nil, errors.Join(err, backend.Close())
	}
	return backend.Close, nil
}
