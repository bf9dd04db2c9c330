package plane

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/bootstrap"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/ads"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/ads/adstest"
)

// Listeners are asked for when the first clusters are warm, and accept connections when all of the first listeners are.
func TestStart(t *testing.T) {
	t.Parallel()
	s := play(t, patience{})
	s.wantsState("503 INITIALIZING")
	s.Send(set(ads.ClusterType, edsCluster("a", "1"), edsCluster("b", "1")))
	s.Wants("ClusterLoadAssignment +a +b")
	s.Wants("Cluster ack n1")
	s.Send(set(ads.EndpointType, endpointsAt("a", backend(t, "hello"))))
	s.Wants("ClusterLoadAssignment ack n2")
	s.Send(set(ads.EndpointType, endpointsAt("b", "127.0.0.1:1")))
	s.Wants("Listener")
	s.Wants("ClusterLoadAssignment ack n3")
	s.Send(set(ads.ListenerType, rdsListener("web", "one"), rdsListener("other", "two")))
	s.Wants("RouteConfiguration +one +two")
	s.Wants("Listener ack n4")
	s.Send(set(ads.RouteType, routesTo("one", "a")))
	s.Wants("RouteConfiguration ack n5")
	s.wantsState("503 INITIALIZING")
	s.Send(set(ads.RouteType, routesTo("two", "a")))
	s.Wants("RouteConfiguration ack n6")
	s.wantsState("200 LIVE")
	s.wantsAnswer("200 hello")
}

// A server that has nothing says so.
func TestStartWithNothing(t *testing.T) {
	t.Parallel()
	s := play(t, patience{})
	s.Send(set(ads.ClusterType))
	s.Wants("Listener")
	s.Wants("Cluster ack n1")
	s.wantsState("503 INITIALIZING")
	s.Send(set(ads.ListenerType))
	s.Wants("Listener ack n2")
	s.wantsState("200 LIVE")
}

// What doesn't come in time isn't waited for any longer, and counts when it comes.
func TestStartWithoutAnswers(t *testing.T) {
	t.Parallel()
	s := play(t, patience{clusters: time.Millisecond, named: time.Millisecond})
	s.Wants("Listener") // clusters didn't come
	s.Send(set(ads.ListenerType, rdsListener("web", "web")))
	s.Wants("RouteConfiguration +web")
	s.Wants("Listener ack n1")
	s.becomes("200 LIVE")
	s.wantsAnswer("404") // routes didn't come either
	s.Send(set(ads.ClusterType, edsCluster("late", "1")))
	s.Wants("ClusterLoadAssignment +late")
	s.Wants("Cluster ack n2") // only when it is warm, or nobody waits any longer
	s.Send(set(ads.RouteType, routesTo("web", "late")))
	s.Wants("RouteConfiguration ack n3")
	s.wantsAnswer("503 no healthy upstream")
	s.Send(set(ads.EndpointType, endpointsAt("late", backend(t, "hello"))))
	s.Wants("ClusterLoadAssignment ack n4")
	s.wantsAnswer("200 hello")
}

func TestStartWithoutListeners(t *testing.T) {
	t.Parallel()
	s := play(t, patience{listeners: time.Millisecond})
	s.Send(set(ads.ClusterType))
	s.WantsAll("Listener", "Cluster ack n1")
	s.becomes("200 LIVE")
	s.Send(set(ads.ListenerType, rdsListener("web", "web")))
	s.Wants("RouteConfiguration +web")
	s.Wants("Listener ack n2")
	s.Send(set(ads.RouteType, routesTo("web", "nowhere")))
	s.Wants("RouteConfiguration ack n3")
	s.wantsAnswer("503")
}

// Whoever waits for what was rejected waits no longer: it must be possible to start with a bad configuration.
func TestStartWithRejections(t *testing.T) {
	t.Parallel()
	s := play(t, patience{})
	s.Send(set(ads.ClusterType, edsCluster("web", "1"), unknownCluster("bad")))
	s.Wants("ClusterLoadAssignment +web")
	s.rejected("Cluster", "n1", "bad: ")
	s.Send(set(ads.EndpointType, endpointsAt("other", "127.0.0.1:1"))) // not asked for
	s.Wants("ClusterLoadAssignment ack n2")
	s.Send(set(ads.EndpointType, adstest.Resource("web", "1", &clusterv3.Cluster{Name: "web"})))
	s.Wants("Listener")
	s.rejected("ClusterLoadAssignment", "n3", "does not match")
	s.Send(set(ads.ListenerType, rdsListener("web", "web"), adstest.Resource("bad", "1", &listenerv3.Listener{Name: "bad"})))
	s.Wants("RouteConfiguration +web")
	s.rejected("Listener", "n4", "bad: ")
	s.Send(set(ads.RouteType, badRoutes("web")))
	s.rejected("RouteConfiguration", "n5", "web: ")
	s.wantsState("200 LIVE")
	s.wantsAnswer("404")
	s.Send(set(ads.RouteType, routesTo("web", "web")))
	s.Wants("RouteConfiguration ack n6")
	s.wantsAnswer("503 no healthy upstream")
}

// rejected waits for the rejection of a response, for a reason.
func (s *scene) rejected(typeName, nonce, reason string) {
	s.t.Helper()
	if got := adstest.Format(s.Next()); !strings.HasPrefix(got, typeName+" nack "+nonce+": ") || !strings.Contains(got, reason) {
		s.t.Fatalf("the server was told %q, want that %s is rejected for %q", got, nonce, reason)
	}
}

// unknownCluster is of a kind that isn't executed.
func unknownCluster(name string) *discoveryv3.Resource {
	return resource(name, &clusterv3.Cluster{}, `{"name": %q, "connect_timeout": "1s", "type": "LOGICAL_DNS"}`, name)
}

// badRoutes has a domain twice, which no rule of the proto file forbids.
func badRoutes(name string) *discoveryv3.Resource {
	return resource(name, &routev3.RouteConfiguration{}, `{"name": %q, "virtual_hosts": [
		{"name": "a", "domains": ["example.com"]}, {"name": "b", "domains": ["example.com"]}]}`, name)
}

// A changed cluster replaces the old one when its endpoints were sent again. Until then it isn't acknowledged.
func TestChangedCluster(t *testing.T) {
	t.Parallel()
	s := start(t, backend(t, "before"))
	s.Send(set(ads.ClusterType, edsCluster("web", "2"), edsCluster("other", "1")))
	s.Wants("ClusterLoadAssignment +other")
	s.Send(set(ads.EndpointType, endpointsAt("other", "127.0.0.1:1")))
	s.Wants("ClusterLoadAssignment ack n6")
	s.wantsAnswer("200 before")
	if got := s.clusters(); got != "other active, web active, web warming" {
		t.Errorf("clusters: %s", got)
	}
	s.Send(set(ads.EndpointType, endpointsAt("web", backend(t, "after"))))
	s.Wants("Cluster ack n5")
	s.Wants("ClusterLoadAssignment ack n7")
	s.wantsAnswer("200 after")
	if got := s.clusters(); got != "other active, web active" {
		t.Errorf("clusters: %s", got)
	}
	// What hasn't changed isn't warmed.
	s.Send(set(ads.ClusterType, edsCluster("web", "2")))
	s.Wants("Cluster ack n8")
	s.wantsAnswer("200 after")
}

// clusters lists the clusters with their states.
func (s *scene) clusters() string {
	var out []string
	s.plane.call(func() {
		for _, c := range s.plane.dumpClusters(false) {
			out = append(out, c.Name+" "+c.State)
		}
	})
	return strings.Join(out, ", ")
}

// A changed cluster whose endpoints aren't sent again takes those that were there.
func TestEndpointsOfBefore(t *testing.T) {
	t.Parallel()
	s := start(t, backend(t, "hello"))
	s.plane.call(func() { s.plane.fetchTimeout = time.Millisecond })
	s.Send(set(ads.ClusterType, edsCluster("web", "2")))
	s.Wants("Cluster ack n5")
	s.wantsAnswer("200 hello")
}

func TestRemovedCluster(t *testing.T) {
	t.Parallel()
	s := start(t, backend(t, "hello"))
	s.Send(set(ads.ClusterType, edsCluster("web", "2"))) // warming, when it is removed
	s.Send(removed(ads.ClusterType, "web"))
	s.Wants("ClusterLoadAssignment -web")
	s.Wants("Cluster ack n5")
	s.Wants("Cluster ack n6")
	s.wantsAnswer("503")
}

// Endpoints count at once; that they are removed says nothing about those in use.
func TestChangedEndpoints(t *testing.T) {
	t.Parallel()
	s := start(t, backend(t, "before"))
	s.Send(set(ads.EndpointType, endpointsAt("web", backend(t, "after"))))
	s.Wants("ClusterLoadAssignment ack n5")
	s.wantsAnswer("200 after")
	s.Send(removed(ads.EndpointType, "web"))
	s.Wants("ClusterLoadAssignment ack n6")
	s.wantsAnswer("200 after")
	// But a cluster that waits for them waits no longer.
	s.Send(set(ads.ClusterType, edsCluster("new", "1")))
	s.Wants("ClusterLoadAssignment +new")
	s.Send(removed(ads.EndpointType, "new"))
	s.Wants("Cluster ack n7")
	s.Wants("ClusterLoadAssignment ack n8")
}

func TestChangedRoutes(t *testing.T) {
	t.Parallel()
	s := start(t, backend(t, "hello"))
	s.Send(set(ads.RouteType, routesTo("web", "nowhere")))
	s.Wants("RouteConfiguration ack n5")
	s.wantsAnswer("503")
	s.Send(set(ads.RouteType, badRoutes("web")))
	s.rejected("RouteConfiguration", "n6", "web: ")
	s.wantsAnswer("503")
	s.Send(set(ads.RouteType, routesTo("web", "web")))
	s.Wants("RouteConfiguration ack n7")
	s.Send(removed(ads.RouteType, "web"))
	s.Wants("RouteConfiguration ack n8")
	s.wantsAnswer("200 hello")
}

// A changed listener replaces the old one when its routes have come.
func TestChangedListener(t *testing.T) {
	t.Parallel()
	s := start(t, backend(t, "hello"))
	before := s.address("web")
	s.Send(set(ads.ListenerType, rdsListener("web", "others")))
	s.Wants("RouteConfiguration +others")
	s.Wants("Listener ack n5") // listeners are acknowledged before they are warm
	s.wantsAnswer("200 hello")
	// As it is served: nothing is warmed any more, and nothing is replaced.
	served := func() (l *served) {
		s.plane.call(func() { l = s.plane.listeners.active["web"] })
		return l
	}
	last := served()
	s.Send(set(ads.ListenerType, rdsListener("web", "web")))
	s.Wants("RouteConfiguration -others")
	s.Wants("Listener ack n6")
	if served() != last {
		t.Error("a listener was replaced by itself")
	}
	s.Send(set(ads.ListenerType, rdsListener("web", "others")))
	s.Wants("RouteConfiguration +others")
	s.Wants("Listener ack n7")
	s.Send(set(ads.RouteType, routesTo("others", "nowhere")))
	// The routes of before aren't needed when the drain time is over.
	s.WantsAll("RouteConfiguration ack n8", "RouteConfiguration -web")
	s.wantsAnswer("503")
	if after := s.address("web"); after != before {
		t.Errorf("it listens at %s, and before at %s", after, before)
	}
}

func TestRemovedListener(t *testing.T) {
	t.Parallel()
	s := start(t, backend(t, "hello"))
	at := s.address("web")
	s.Send(removed(ads.ListenerType, "web"))
	s.Wants("Listener ack n5")
	s.Wants("RouteConfiguration -web")
	if _, err := http.Get("http://" + at); err == nil {
		t.Error("it still accepts connections")
	}
	// Its address is free for another one.
	s.Send(set(ads.ListenerType, rdsListener("web", "web")))
	s.Wants("RouteConfiguration +web")
	s.Wants("Listener ack n6")
	s.Send(set(ads.RouteType, routesTo("web", "web")))
	s.Wants("RouteConfiguration ack n7")
	s.wantsAnswer("200 hello")
}

// A cluster with a client certificate asks for it when its endpoints came, and waits for it.
func TestSecrets(t *testing.T) {
	t.Parallel()
	s := start(t, backend(t, "hello"))
	s.Send(set(ads.ClusterType, securedCluster("a", "certificate")))
	s.Wants("ClusterLoadAssignment +a")
	s.Send(set(ads.EndpointType, endpointsAt("web", "127.0.0.1:1")))
	s.Wants("ClusterLoadAssignment ack n6")
	s.Send(set(ads.EndpointType, endpointsAt("a", "127.0.0.1:1")))
	s.Wants("Secret +certificate")
	s.Wants("ClusterLoadAssignment ack n7")
	s.Send(set(ads.SecretType, adstest.Resource("certificate", "1", &tlsv3.Secret{Name: "other"})))
	s.Wants("Cluster ack n5") // waits no longer
	s.rejected("Secret", "n8", "certificate: ")

	s.Send(set(ads.ClusterType, securedCluster("b", "none")))
	s.Wants("ClusterLoadAssignment +b")
	s.Send(removed(ads.EndpointType, "b"))
	s.Wants("Secret +none")
	s.Wants("ClusterLoadAssignment ack n10")
	s.Send(removed(ads.SecretType, "none"))
	s.Wants("Cluster ack n9")
	s.Wants("Secret ack n11")
	s.Send(removed(ads.ClusterType, "a", "b"))
	s.Wants("ClusterLoadAssignment -a -b")
	s.Wants("Secret -certificate -none")
	s.Wants("Cluster ack n12")
}

func securedCluster(name, secret string) *discoveryv3.Resource {
	return resource(name, &clusterv3.Cluster{}, `{"name": %q, "connect_timeout": "1s", "type": "EDS", "eds_cluster_config": {"eds_config": %s},
		"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
			"@type": "extensions.transport_sockets.tls.v3.UpstreamTlsContext", "sni": "example.com",
			"common_tls_context": {
				"tls_certificate_sds_secret_configs": [{"name": %q, "sds_config": %s}],
				"validation_context": {
					"trusted_ca": {"filename": "/etc/ssl/certs/ca-certificates.crt"},
					"match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "example.com"}}]
				}}}}}`, name, fromADS, secret, fromADS)
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	s := start(t, backend(t, "hello"))
	dump := s.admin(http.MethodGet, "/config_dump")
	for _, want := range []string{`"Name": "web"`, `"route_config_name": "web"`, `"State": "active"`, s.address("web")} {
		if !strings.Contains(dump, want) {
			t.Errorf("/config_dump has no %s:\n%s", want, dump)
		}
	}
	if got := s.admin(http.MethodGet, "/clusters"); !strings.Contains(got, `"State": "active"`) {
		t.Errorf("/clusters is %s", got)
	}
	for path, want := range map[string]string{"/quitquitquit": "405 Method Not Allowed", "/none": "404 404 page not found"} {
		if got := s.admin(http.MethodGet, path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	if got := s.admin(http.MethodPost, "/quitquitquit"); got != "200 OK" {
		t.Errorf("/quitquitquit is %q", got)
	}
	<-s.ended
}

// The readiness listener of a bootstrap answers when the first configuration is in use, and can't be changed by the server.
func TestReadiness(t *testing.T) {
	t.Parallel()
	b, err := bootstrap.New(bootstrap.Options{
		Gateway: "default/web", Server: bootstrap.Address{Host: "127.0.0.1", Port: 1}, Admin: bootstrap.Address{Host: "127.0.0.1", Port: 1},
		Readiness: &bootstrap.Address{Host: "127.0.0.1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := play(t, patience{}, b.GetStaticResources().GetListeners()...)
	s.Send(set(ads.ClusterType))
	s.Wants("Listener")
	s.Wants("Cluster ack n1")
	s.plane.call(func() {
		at := s.plane.listeners.warming["readiness"].listener.Addrs()[0]
		if conn, err := net.Dial("tcp", at.String()); err == nil {
			conn.Close()
			t.Error("it accepts connections before there is any configuration")
		}
	})
	s.Send(set(ads.ListenerType, rdsListener("readiness", "web")))
	s.rejected("Listener", "n2", "a static listener has that name")
	s.wantsState("200 LIVE")
	at := "http://" + s.address("readiness")
	for path, want := range map[string]string{bootstrap.ReadinessPath: "200", "/": "404"} {
		if got := get(t, http.MethodGet, at+path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	s.Send(removed(ads.ListenerType, "readiness"))
	s.Wants("Listener ack n3")
	if got := get(t, http.MethodGet, at+bootstrap.ReadinessPath); got != "200" {
		t.Errorf("after the server removed it, it answers %q", got)
	}
}

func TestDumpWithoutKeys(t *testing.T) {
	t.Parallel()
	secret := resource("a", &tlsv3.Secret{}, `{"name": "a", "tls_certificate": {
		"certificate_chain": {"inline_string": "for everybody"}, "private_key": {"inline_string": "for nobody"}, "password": {"inline_bytes": "bm9ib2R5"}}}`)
	m, err := secret.GetResource().UnmarshalNew()
	if err != nil {
		t.Fatal(err)
	}
	got := string(encoded(m))
	if !strings.Contains(got, "for everybody") || strings.Contains(got, "nobody") || strings.Contains(got, "bm9ib2R5") {
		t.Errorf("dumped as %s", got)
	}
}
