package scale

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/gateway-apiserver/gateway-apiserver/test/bench/gatewayapi"
	"github.com/gateway-apiserver/gateway-apiserver/test/bench/report"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/bootstrap"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/plane"
)

// peers runs what any implementation can be measured by (package gatewayapi), each on a server with empty data. There are no
// targets for it.
func peers(ctx context.Context, b *Bench) (rows []report.Row, err error) {
	for _, scenario := range gatewayapi.Scenarios {
		found, err := b.peer(ctx, scenario)
		for _, r := range found {
			r.What = scenario.Name + ": " + r.What
			rows = append(rows, r)
		}
		if err != nil {
			return rows, fmt.Errorf("%s: %w", scenario.Name, err)
		}
	}
	return rows, nil
}

func (b *Bench) peer(ctx context.Context, scenario gatewayapi.Scenario) (_ []report.Row, err error) {
	s, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	config, err := clientcmd.BuildConfigFromFlags("", s.file("data/admin.kubeconfig"))
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	const created = "peers" // the namespace
	o := gatewayapi.Options{
		Class: "gateway-apiserver", Namespace: created, Port: int32(port),
		Routes: b.PeerRoutes, ListenerSets: b.PeerListenerSets, Clients: writers, Churn: b.Churn, Patience: patience,
		PID: s.pid(), Log: b.Log,
	}
	if scenario.Data {
		// The data plane answers where its Gateway's listener is, and so does the backend.
		o.Address, o.Backend = "127.0.0.1", "127.0.0.1"
		stop, err := s.dataPlane(ctx, created+"/"+gatewayapi.GatewayName)
		if err != nil {
			return nil, err
		}
		defer stop()
	} else if scenario.Name == "route-scale" {
		o.Routes = b.ChurnRoutes
	}
	return gatewayapi.Run(ctx, config, scenario, o)
}

// dataPlane runs a test data plane for a Gateway, which need not be there yet, in this process.
func (s *server) dataPlane(ctx context.Context, gateway string) (stop func(), err error) {
	admin, err := freePort()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, s.binary, "bootstrap", "--xds-server", s.xds, "--gateway", gateway,
		"--admin-address", fmt.Sprintf("127.0.0.1:%d", admin))
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("printing a bootstrap: %w: %s", err, &stderr)
	}
	if err := os.WriteFile(s.file("envoy.yaml"), out, 0o600); err != nil {
		return nil, err
	}
	config, err := bootstrap.Read(s.file("envoy.yaml"), bootstrap.Identity{})
	if err != nil {
		return nil, err
	}
	p, err := plane.New(config, plane.Options{DrainTime: time.Second, GracePeriod: time.Second, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.Run(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}, nil
}

// freePort returns a port of loopback that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
