package server

import (
	"context"
	"crypto/tls"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	clusterservice "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpointservice "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	listenerservice "github.com/envoyproxy/go-control-plane/envoy/service/listener/v3"
	routeservice "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	secretservice "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/identity"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

const sds = resource.SecretType

// A method is one of the server, and what a client sends first.
type method struct {
	name    string // "/service/method"
	served  bool
	request any
}

// methods returns all methods that a client may try: those that the server says it has, those of the services that aren't served,
// and of a service that there isn't.
func (s *testServer) methods(node *corev3.Node) []method {
	out := []method{{name: "/envoy.service.discovery.v3.Other/Stream", request: &discoveryv3.DiscoveryRequest{Node: node}}}
	for service, info := range s.grpc.GetServiceInfo() {
		for _, m := range info.Methods {
			out = append(out, method{"/" + service + "/" + m.Name, true, firstRequest(m.Name, node)})
		}
	}
	for _, desc := range []grpc.ServiceDesc{
		discoveryv3.AggregatedDiscoveryService_ServiceDesc, clusterservice.ClusterDiscoveryService_ServiceDesc, endpointservice.EndpointDiscoveryService_ServiceDesc,
		secretservice.SecretDiscoveryService_ServiceDesc, listenerservice.ListenerDiscoveryService_ServiceDesc, routeservice.RouteDiscoveryService_ServiceDesc,
	} {
		for _, m := range desc.Methods {
			out = append(out, method{name: "/" + desc.ServiceName + "/" + m.MethodName, request: firstRequest(m.MethodName, node)})
		}
	}
	return out
}

// firstRequest asks for everything, by name where a type has no wildcard.
func firstRequest(name string, node *corev3.Node) any {
	typeURL := ""
	for part, of := range map[string]string{"Clusters": cds, "Endpoints": eds, "Secrets": sds, "Listeners": lds, "Routes": rds, "AggregatedResources": sds} {
		if strings.HasSuffix(name, part) {
			typeURL = of
		}
	}
	if strings.Contains(name, "Delta") {
		return &discoveryv3.DeltaDiscoveryRequest{Node: node, TypeUrl: typeURL, ResourceNamesSubscribe: []string{"x"}}
	}
	return &discoveryv3.DiscoveryRequest{Node: node, TypeUrl: typeURL, ResourceNames: []string{"x"}}
}

// try calls a method, and returns what comes of it.
func (s *testServer) try(t *testing.T, m method) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	str, err := s.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, m.name)
	if err != nil {
		return err
	}
	if err := str.SendMsg(m.request); err != nil {
		t.Logf("%s: sending: %v", m.name, err) // the stream has ended, and RecvMsg says why
	}
	if _, delta := m.request.(*discoveryv3.DeltaDiscoveryRequest); delta {
		return str.RecvMsg(&discoveryv3.DeltaDiscoveryResponse{})
	}
	return str.RecvMsg(&discoveryv3.DiscoveryResponse{})
}

// TestEveryMethod calls every method there is without an identity, with one that may not read the scope, and with one that may.
func TestEveryMethod(t *testing.T) {
	t.Parallel()
	s := serve(t, secured)
	s.cache.Publish(scope, set(res(cds, "x", "x"), res(eds, "x", "x"), res(sds, "x", "x"), res(lds, "x", "x"), res(rds, "x", "x")))
	methods := s.methods(gatewayNode("ns/gw"))
	if served := slices.DeleteFunc(slices.Clone(methods), func(m method) bool { return !m.served }); len(served) != 12 || len(methods) != 12+1+5 {
		t.Fatalf("%d methods, of which %d are served, want 2 for each of 5 types and for ADS", len(methods), len(served))
	}
	for _, info := range s.grpc.GetServiceInfo() {
		for _, m := range info.Methods {
			if !m.IsClientStream || !m.IsServerStream {
				t.Errorf("%s is unary: gRPC reads its request before anybody is asked who the client is", m.Name)
			}
		}
	}
	nobody, stranger, owner := s.as(t), s.with(t, trustDomain+"/gateway/ns/other", trustDomain+"/fleet/ns/gw", trustDomain+"/proxyless/ns"), s.with(t, trustDomain+"/gateway/ns/gw")
	for _, m := range methods {
		if err := nobody.try(t, m); status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "xds-cert") {
			t.Errorf("%s without an identity: got %v, want Unauthenticated, and what to do", m.name, err)
		}
		refused, answered := codes.PermissionDenied, codes.OK
		if !m.served {
			refused, answered = codes.Unimplemented, codes.Unimplemented
		}
		if err := stranger.try(t, m); status.Code(err) != refused {
			t.Errorf("%s with the identity of others: got %v, want %s", m.name, err, refused)
		}
		if err := owner.try(t, m); status.Code(err) != answered {
			t.Errorf("%s: got %v, want %s", m.name, err, answered)
		}
	}
	s.waitUnused()
}

// TestCertificatesOfOthers tries certificates that prove nothing here.
func TestCertificatesOfOthers(t *testing.T) {
	t.Parallel()
	s := serve(t, secured)
	s.cache.Publish(scope, set(res(lds, "l", "l1")))
	gateway := trustDomain + "/gateway/ns/gw"
	handshake, name := codes.Unavailable, codes.Unauthenticated // which is what refuses them
	for what, c := range map[string]struct {
		certificate tls.Certificate
		refused     codes.Code
	}{
		"another CA":             {other().issue(time.Hour, gateway), handshake},
		"expired":                {trusted().issue(-time.Minute, gateway), handshake},
		"of a server":            {trusted().issue(time.Hour), handshake},
		"another trust domain":   {trusted().issue(time.Hour, "spiffe://cluster.local/gateway/ns/gw"), name},
		"a name that is none":    {trusted().issue(time.Hour, trustDomain+"/gateway/ns/*"), name},
		"a path that leads away": {trusted().issue(time.Hour, trustDomain+"/gateway/ns/other/../gw"), name},
	} {
		err := s.as(t, c.certificate).try(t, method{deltaListeners, true, firstRequest(deltaListeners, gatewayNode("ns/gw"))})
		if status.Code(err) != c.refused {
			t.Errorf("%s: got %v, want %s", what, err, c.refused)
		}
	}
}

const deltaListeners = "/envoy.service.listener.v3.ListenerDiscoveryService/DeltaListeners"

// TestNodeIsNotBelieved has a client whose certificate is for one Gateway name another one, at first and later.
func TestNodeIsNotBelieved(t *testing.T) {
	t.Parallel()
	s := serve(t, secured)
	s.cache.Publish(scope, set(res(lds, "l", "mine"), res(sds, "s", "mine")))
	s.cache.Publish(nodes.GatewayScope("ns/other"), set(res(lds, "l", "theirs"), res(sds, "s", "theirs")))
	client := s.with(t, trustDomain+"/gateway/ns/gw")
	for _, node := range []*corev3.Node{gatewayNode("ns/other"), {Id: "mesh"}, nil} {
		d, st := client.delta(t, node), client.state(t, node)
		d.subscribe(sds, "s")
		st.subscribe(sds, "s")
		_, err := d.Recv()
		_, stErr := st.Recv()
		for _, err := range []error{err, stErr} {
			if status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), trustDomain+"/gateway/ns/gw may not read") {
				t.Errorf("node %v: got %v, want PermissionDenied, and for whom", node, err)
			}
		}
	}
	d, st := client.delta(t, gatewayNode("ns/gw")), client.state(t, gatewayNode("ns/gw"))
	d.subscribe(lds)
	d.wantAck("listeners +l=mine")
	st.subscribe(lds)
	st.wantAck("listeners mine")
	d.node, st.node = gatewayNode("ns/other"), gatewayNode("ns/other")
	d.subscribe(sds, "s")
	d.wantAck("secrets +s=mine")
	st.subscribe(sds, "s")
	st.wantAck("secrets mine")
	if lines := s.logged("Refused"); len(lines) == 0 || !strings.Contains(strings.Join(lines, ""), "may not read") {
		t.Errorf("logged %q", lines)
	}
}

// TestMergedFleet holds that a Gateway's identity isn't enough for the scope of a fleet, which has the keys of others.
func TestMergedFleet(t *testing.T) {
	t.Parallel()
	s := serve(t, secured)
	s.nodes.Publish(map[string]*nodes.Fleet{"ns/fleet": {Merged: true, Gateways: []string{"ns/gw"}}})
	s.cache.Publish(nodes.FleetScope("ns/fleet"), set(res(lds, "l", "merged")))
	d := s.with(t, trustDomain+"/gateway/ns/gw").delta(t, gatewayNode("ns/gw"))
	d.subscribe(lds)
	if _, err := d.Recv(); status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "--fleet ns/fleet") {
		t.Errorf("got %v, want PermissionDenied, and what to do", err)
	}
	d = s.with(t, trustDomain+"/fleet/ns/fleet").delta(t, gatewayNode("ns/gw"))
	d.subscribe(lds)
	d.wantAck("listeners +l=merged")
}

// TestGatewayLeavesFleet ends the stream of a node that may read a Gateway because it belongs to a fleet.
func TestGatewayLeavesFleet(t *testing.T) {
	t.Parallel()
	s := serve(t, secured)
	s.nodes.Publish(map[string]*nodes.Fleet{"ns/fleet": {Gateways: []string{"ns/gw", "ns/stays"}}})
	s.cache.Publish(scope, set(res(lds, "l", "l1")))
	s.cache.Publish(nodes.GatewayScope("ns/stays"), set(res(lds, "l", "l1")))
	client := s.with(t, trustDomain+"/fleet/ns/fleet")
	d, stays := client.delta(t, gatewayNode("ns/gw")), client.delta(t, gatewayNode("ns/stays"))
	d.subscribe(lds)
	d.wantAck("listeners +l=l1")
	stays.subscribe(lds)
	stays.wantAck("listeners +l=l1")
	s.nodes.Publish(map[string]*nodes.Fleet{"ns/fleet": {Gateways: []string{"ns/stays"}}})
	if _, err := d.Recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("got %v, want PermissionDenied", err)
	}
	s.cache.Publish(nodes.GatewayScope("ns/stays"), set(res(lds, "l", "l2")))
	stays.wantAck("listeners +l=l2")
}

func mayRead(expires time.Time) *identity.Identity {
	return identity.New("somebody", expires, identity.Grant{Kind: identity.Gateway, Namespace: "ns", Name: "gw"})
}

// TestExpiry holds that streams end when what their clients have proved expires: those that are served, that wait, that never said
// who they are, and that don't read what they are sent.
func TestExpiry(t *testing.T) {
	t.Parallel()
	expires := time.Now().Add(time.Second)
	s := serve(t, authenticated(func(context.Context) (*identity.Identity, error) { return mayRead(expires), nil }), func(c *Config) {
		c.Limits.Recheck, c.Limits.Send = -1, 2*time.Second
	})
	large := strings.Repeat("large", window)
	s.cache.Publish(scope, set(res(lds, "l", "l1"), res(rds, "r", large), res(sds, "s", large)))
	served, silent, slow := s.delta(t, gatewayNode("ns/gw")), s.state(t, nil), s.plain(t).delta(t, gatewayNode("ns/gw"))
	served.subscribe(lds)
	if _, err := served.Recv(); err != nil {
		t.Fatal(err)
	}
	slow.subscribe(rds, "r") // which gRPC queues
	slow.subscribe(sds, "s") // and this has to wait
	if _, err := served.Recv(); status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "expired") {
		t.Errorf("got %v, want Unauthenticated, and why", err)
	}
	if _, err := silent.Recv(); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a stream without requests: got %v, want Unauthenticated", err)
	}
	s.waitUnused() // slow doesn't read
}

// TestWithdrawn holds that a stream ends when its client may not read its scope any more: at the next request, and without one.
func TestWithdrawn(t *testing.T) {
	t.Parallel()
	for name, recheck := range map[string]time.Duration{"at a request": -1, "idle": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var answer atomic.Pointer[error]
			s := serve(t, authenticated(func(context.Context) (*identity.Identity, error) {
				if err := answer.Load(); err != nil {
					return nil, *err
				}
				return mayRead(time.Time{}), nil
			}), func(c *Config) { c.Limits.Recheck = recheck })
			s.cache.Publish(scope, set(res(lds, "l", "l1")))
			d, st := s.delta(t, gatewayNode("ns/gw")), s.state(t, gatewayNode("ns/gw"))
			d.subscribe(lds)
			d.wantAck("listeners +l=l1")
			st.subscribe(lds)
			st.wantAck("listeners l1")

			// Without an answer they go on.
			away := status.Error(codes.Unavailable, "nobody answers")
			answer.Store(&away)
			s.cache.Publish(scope, set(res(lds, "l", "l2")))
			d.wantAck("listeners +l=l2")
			st.wantAck("listeners l2")
			late := s.delta(t, gatewayNode("ns/gw"))
			if _, err := late.Recv(); status.Code(err) != codes.Unavailable {
				t.Errorf("a new stream: got %v, want Unavailable", err)
			}

			no := status.Error(codes.Unauthenticated, "the token was withdrawn")
			answer.Store(&no)
			if recheck < 0 {
				d.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: rds, ResourceNamesSubscribe: []string{"r"}})
				st.Send(&discoveryv3.DiscoveryRequest{TypeUrl: rds, ResourceNames: []string{"r"}})
			}
			_, err := d.Recv()
			_, stErr := st.Recv()
			for _, err := range []error{err, stErr} {
				if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "withdrawn") {
					t.Errorf("got %v, want Unauthenticated, and why", err)
				}
			}
		})
	}
}

// TestUnanswered holds that a stream doesn't go on for ever without an answer.
func TestUnanswered(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	s := serve(t, authenticated(func(context.Context) (*identity.Identity, error) {
		if away.Load() {
			return nil, status.Error(codes.Unavailable, "nobody answers")
		}
		return mayRead(time.Time{}), nil
	}), func(c *Config) { c.Limits.Recheck, c.Limits.Unanswered = time.Millisecond, 20*time.Millisecond })
	s.cache.Publish(scope, set(res(lds, "l", "l1")))
	d := s.delta(t, gatewayNode("ns/gw"))
	d.subscribe(lds)
	d.wantAck("listeners +l=l1")
	away.Store(true)
	if _, err := d.Recv(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "nobody answers") {
		t.Errorf("got %v, want Unavailable, and why", err)
	}
}

// TestNoResumption holds that a connection can't go on from an earlier one, of which the certificates may have expired since.
func TestNoResumption(t *testing.T) {
	t.Parallel()
	perClient := func(c *Config) {
		secured(c)
		all := c.TLS
		c.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return all, nil }}
	}
	for name, config := range map[string]func(*Config){"one configuration": secured, "one per client": perClient} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			s := serve(t, config)
			client := &tls.Config{RootCAs: trusted().pool, ClientSessionCache: tls.NewLRUClientSessionCache(8), NextProtos: []string{"h2"}, MaxVersion: version,
				Certificates: []tls.Certificate{trusted().issue(time.Hour, trustDomain+"/gateway/ns/gw")}}
			for range 2 {
				conn, err := tls.Dial("tcp", s.addr, client)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := conn.Read(make([]byte, 9)); err != nil { // the first frame, and with it the tickets
					t.Fatal(err)
				}
				if conn.ConnectionState().DidResume {
					t.Errorf("%s, TLS %x: the session was resumed", name, version)
				}
				conn.Close()
			}
			old := client.Clone()
			old.MaxVersion = tls.VersionTLS11
			old.MinVersion = tls.VersionTLS10
			if conn, err := tls.Dial("tcp", s.addr, old); err == nil {
				conn.Close()
				t.Errorf("%s: TLS 1.1 is spoken", name)
			}
		}
	}
}
