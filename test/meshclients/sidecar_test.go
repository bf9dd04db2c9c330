package meshclients

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	xdsclient "github.com/gateway-apiserver/gateway-apiserver/pkg/xds/client"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/bootstrap"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/router"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/upstream"
)

// sidecar executes, with the packages of the test data plane, what the server has for a sidecar: the connection managers of its
// listeners, routes, clusters and endpoints. Nothing is redirected to it: each listener that stands for a Service's address
// accepts connections at a port of its own, and tells the manager that they were going to that address.
type sidecar struct {
	tables   map[string]*router.Table
	clusters map[string]*upstream.Cluster
	ports    map[string]net.Addr // where the listener of a name accepts connections
}

// Table implements hcm.Routes.
func (s *sidecar) Table(name string) *router.Table { return s.tables[name] }

// Cluster implements hcm.Clusters.
func (s *sidecar) Cluster(name string) *upstream.Cluster { return s.clusters[name] }

// startSidecar runs a sidecar, and has a plain gRPC client make calls through it.
func startSidecar(t *testing.T, s *scene, namespace string) func([]request) ([]answer, error) {
	car, err := newSidecar(t, s.bootstrap(t, "--sidecar", namespace, "--node-id", t.Name()))
	if err != nil {
		t.Fatal(err)
	}
	return callAll(t, func(host string) (*grpc.ClientConn, error) {
		at := car.ports[listenerName(host)]
		if at == nil {
			return nil, nil
		}
		return grpc.NewClient("passthrough:///"+at.String(), grpc.WithAuthority(host), grpc.WithTransportCredentials(insecure.NewCredentials()))
	})
}

// listenerName is the name of a sidecar's listener for "service.namespace.svc:port".
func listenerName(host string) string {
	name, port, _ := strings.Cut(host, ":")
	labels := strings.Split(name, ".")
	return labels[1] + "/" + labels[0] + ":" + port
}

// newSidecar reads what the server has for the node of a bootstrap.
func newSidecar(t *testing.T, envoyYAML string) (*sidecar, error) {
	path := filepath.Join(t.TempDir(), "envoy.yaml")
	if err := os.WriteFile(path, []byte(envoyYAML), 0o600); err != nil {
		return nil, err
	}
	config, err := bootstrap.Read(path, bootstrap.Identity{})
	if err != nil {
		return nil, err
	}
	conn, err := config.Server.Connect()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	snapshot, err := xdsclient.Fetch(t.Context(), conn, xdsclient.Query{Node: config.Node})
	if err != nil {
		return nil, err
	}
	s := &sidecar{tables: map[string]*router.Table{}, clusters: map[string]*upstream.Cluster{}, ports: map[string]net.Addr{}}
	for _, routes := range snapshot.Routes {
		if s.tables[routes.GetName()], err = router.Compile(routes, hcm.ParseFilterConfig); err != nil {
			return nil, fmt.Errorf("%s: %w", routes.GetName(), err)
		}
	}
	if err := s.addClusters(t, snapshot); err != nil {
		return nil, err
	}
	for _, l := range snapshot.Listeners {
		if l.GetBindToPort().GetValue() || l.GetBindToPort() == nil {
			continue // where connections are redirected to, and no routes are
		}
		if err := s.listen(t, l); err != nil {
			return nil, fmt.Errorf("%s: %w", l.GetName(), err)
		}
	}
	return s, nil
}

func (s *sidecar) addClusters(t *testing.T, snapshot *xdsclient.Snapshot) error {
	for _, config := range snapshot.Clusters {
		c, err := upstream.New(config, upstream.Deps{Log: discard})
		if err != nil {
			return fmt.Errorf("%s: %w", config.GetName(), err)
		}
		t.Cleanup(c.Close)
		s.clusters[config.GetName()] = c
		for _, endpoints := range snapshot.Endpoints {
			if endpoints.GetClusterName() != c.EDSName() {
				continue
			}
			if err := c.Update(endpoints); err != nil {
				return fmt.Errorf("%s: %w", endpoints.GetClusterName(), err)
			}
		}
	}
	return nil
}

var discard = slog.New(slog.DiscardHandler)

// listen serves a listener, until the test ends.
func (s *sidecar) listen(t *testing.T, config *listenerv3.Listener) error {
	address := config.GetAddress().GetSocketAddress()
	ip, err := netip.ParseAddr(address.GetAddress())
	if err != nil {
		return err
	}
	local := netip.AddrPortFrom(ip, uint16(address.GetPortValue()))
	managerConfig, err := managerOf(config)
	if err != nil {
		return err
	}
	manager, err := hcm.New(managerConfig, hcm.Deps{Routes: s, Clusters: s, Logger: discard})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		manager.Close()
		return err
	}
	s.ports[config.GetName()] = l.Addr()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				manager.Serve(conn, hcm.Downstream{Local: local, Remote: conn.RemoteAddr().(*net.TCPAddr).AddrPort()})
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		manager.Close()
		serving.Wait()
	})
	return nil
}

// managerOf returns the one HTTP connection manager of a listener.
func managerOf(l *listenerv3.Listener) (*hcmv3.HttpConnectionManager, error) {
	for _, chain := range l.GetFilterChains() {
		for _, filter := range chain.GetFilters() {
			var manager hcmv3.HttpConnectionManager
			if filter.GetTypedConfig().UnmarshalTo(&manager) == nil {
				return &manager, nil
			}
		}
	}
	return nil, errors.New("has no HTTP connection manager")
}
