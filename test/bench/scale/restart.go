package scale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/bench/crowd"
	"github.com/gateway-apiserver/gateway-apiserver/test/bench/report"
)

// restart: a server is ended and started again, and a client reads until it has, byte for byte, what it had before: all
// resources of all types of a Gateway with many routes.
func restart(ctx context.Context, b *Bench) (_ []report.Row, err error) {
	s, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.loadRoutes(ctx, 0, b.RestartRoutes, b.RestartRoutes); err != nil {
		return nil, err
	}
	reader, err := crowd.Start()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, reader.Stop()) }()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	const gateway = namespace + "/gw-0"
	n, err := reader.Read(ctx, s.xds, gateway)
	if err != nil {
		return nil, err
	}
	if err := s.stop(); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := s.exec(s.api, s.xds); err != nil {
		return nil, err
	}
	again, err := reader.Again(ctx, s.xds, gateway)
	if err != nil {
		return nil, err
	}
	if again.Resources[resource.RouteType] != 1 || again.Resources[resource.ClusterType] == 0 || again.Resources[resource.EndpointType] == 0 {
		return nil, fmt.Errorf("what was compared is not all: %v", again.Resources)
	}
	took := again.At.Sub(began)
	return []report.Row{{
		What:   fmt.Sprintf("restart with %d routes, from exec to a client with the same %d resources", b.RestartRoutes, n),
		Figure: report.Duration(took), Target: "under 2 s", Verdict: report.Judge(took, 2*time.Second),
	}}, nil
}
