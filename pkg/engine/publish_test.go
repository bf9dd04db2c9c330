package engine

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	udpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	resource "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph/graphtest"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/translate"
)

// TestPublish holds over random histories that what is published is a function of the objects that there are.
func TestPublish(t *testing.T) {
	t.Parallel()
	for seed := range histories() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			testPublish(t, graphtest.Random(uint64(seed), 2000))
		})
	}
}

// FuzzPublish lets the fuzzer write the histories; see FuzzHistory in package graph.
func FuzzPublish(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(graphtest.Random(seed, 500))
	}
	f.Fuzz(testPublish)
}

func histories() int {
	if testing.Short() {
		return 10
	}
	return 40
}

// testPublish publishes a history, change by change or a few at a time. Whatever is published must be valid and complete.
// Now and then, and at the end, it must be all there is to say of the objects; and once these are deleted, there must be
// nothing left.
func testPublish(t *testing.T, data []byte) {
	history := graphtest.New(data)
	p := newPublication(t)
	for change := range history.Changes() {
		p.dirty.Merge(change.Do(p.graph))
		if history.Choose(3) == 0 {
			continue
		}
		p.publish()
		if history.Choose(8) == 0 {
			p.compare(history.Objects)
		}
	}
	p.publish()
	p.compare(history.Objects)

	for key := range history.Objects {
		p.dirty.Merge(p.graph.Delete(key))
		if history.Choose(3) == 0 {
			p.publish()
		}
	}
	p.publish()
	p.compare(nil)
	if diff := cmp.Diff(books(newPublication(t).publisher), books(p.publisher)); diff != "" {
		t.Errorf("with all objects deleted, something is left (+):\n%s", diff)
	}
}

// publication is a graph with what is published of it.
type publication struct {
	t         *testing.T
	graph     *graph.Graph
	dirty     graph.Dirty
	xds       *cache.Cache
	publisher *publisher
	// checked are the resources that have been published before.
	checked map[resourceID]references
}

func newPublication(t *testing.T) *publication {
	xds := cache.New(nodes.Bases()...)
	return &publication{t: t, graph: graph.New(), xds: xds, publisher: newPublisher(xds), checked: map[resourceID]references{}}
}

// publish publishes what is dirty, and checks every resource that there is then.
func (p *publication) publish() {
	p.t.Helper()
	p.publisher.publish(p.graph, p.dirty)
	p.dirty = graph.Dirty{}
	for _, s := range p.publisher.scopes {
		if pending(s) {
			p.t.Errorf("%s has something left to publish", s.name)
		}
	}
	for _, scope := range scopes() {
		present, wanted := map[cache.Name]bool{{TypeURL: resource.ClusterType, Name: "unresolved-backend"}: true}, references{}
		for _, r := range p.xds.Resources(scope) {
			id := identify(r)
			if p.checked[id] == nil {
				p.checked[id] = check(p.t, r)
			}
			present[id.Name] = true
			p.checkTLS(scope, r)
			maps.Copy(wanted, p.checked[id])
		}
		for name := range wanted {
			if !present[name] {
				p.t.Errorf("%s refers to %s %q, which is not published", scope, name.TypeURL, name.Name)
			}
		}
	}
}

// checkTLS makes sure that nobody is told to connect in plaintext to a port whose connections a BackendTLSPolicy rules, but for
// what is in TLS already.
func (p *publication) checkTLS(scope string, r *cache.Resource) {
	p.t.Helper()
	if r.TypeURL() != resource.ClusterType {
		return
	}
	cluster := &clusterv3.Cluster{}
	if err := r.Any().UnmarshalTo(cluster); err != nil {
		p.t.Fatal(err)
	}
	for _, port := range graphtest.Backends() {
		if port.String() != cluster.GetEdsClusterConfig().GetServiceName() || strings.HasSuffix(cluster.GetName(), "/passthrough") {
			continue
		}
		proxyless := scope == MeshScope || strings.HasPrefix(scope, MeshScope+"/")
		if ruled := p.graph.MeshHost(graph.MeshHostKey{BackendKey: port}).TLS; ruled && (proxyless || cluster.GetTransportSocket() == nil) || !ruled && cluster.GetTransportSocket() != nil {
			p.t.Errorf("%s: a policy rules the connections to %s: %t, and they are made by\n%v", scope, port, ruled, cluster)
		}
	}
}

// compare compares what is published with all that there is to say of the objects: as it is told of them in the order of
// their history, and, by another publisher, as it is told of them at once.
func (p *publication) compare(objects map[graph.Key]metav1.Object) {
	p.t.Helper()
	fresh := newPublication(p.t)
	for _, obj := range objects {
		fresh.dirty.Merge(fresh.graph.Apply(obj))
	}
	fresh.publish()
	for _, scope := range scopes() {
		want, exists := everything(fresh.graph, scope)
		for how, xds := range map[string]*cache.Cache{"by its history": p.xds, "at once": fresh.xds} {
			if got := xds.Published(scope); got != exists {
				p.t.Errorf("%s exists: %t; published %s: %t", scope, exists, how, got)
			}
			if diff := cmp.Diff(readable(want), readable(xds.Resources(scope))); diff != "" {
				p.t.Errorf("%s, as it should be (-) and as published %s (+):\n%s", scope, how, diff)
			}
		}
	}
	if diff := cmp.Diff(books(fresh.publisher), books(p.publisher)); diff != "" {
		p.t.Errorf("the books of a publisher that was told at once (-) and by the history (+) differ:\n%s", diff)
	}
	if p.t.Failed() {
		p.t.FailNow()
	}
}

// everything translates all that the graph knows of a scope, and says whether the scope is to exist.
func everything(g *graph.Graph, scope string) ([]*cache.Resource, bool) {
	for _, base := range nodes.Bases() {
		if consumer, over := strings.CutPrefix(scope, base+"/"); over || scope == base {
			return everythingOfMesh(g, base, consumer), true
		}
	}
	for _, key := range append(graphtest.KeysOf(graph.KindGateway), graphtest.KeysOf(graph.KindEnvoyFleet)...) {
		if facts := g.Scope(key); facts != nil && scopeName(key) == scope {
			return everythingOfScope(g, facts), true
		}
	}
	return nil, false
}

// everythingOfMesh translates what there is for the clients of all namespaces, and over it what there is for those of one, if
// consumer names one.
func everythingOfMesh(g *graph.Graph, base, consumer string) []*cache.Resource {
	all := map[cache.Name]*cache.Resource{}
	layers := []string{""}
	if consumer != "" {
		layers = append(layers, consumer)
	}
	for _, layer := range layers {
		for _, r := range layerOfMesh(g, base, layer) {
			all[cache.Name{TypeURL: r.TypeURL(), Name: r.Name()}] = r
		}
	}
	return slices.Collect(maps.Values(all))
}

func layerOfMesh(g *graph.Graph, base, consumer string) []*cache.Resource {
	translated, all := proxylessHost, []*cache.Resource{}
	if base == SidecarScope {
		translated = sidecarHost
	}
	if base == SidecarScope && consumer == "" {
		passthrough := translate.Passthrough()
		all = append(all, encode(resource.ClusterType, passthrough.GetName(), passthrough))
		for _, l := range translate.Outbound(g.Sidecar()) {
			all = append(all, encode(resource.ListenerType, l.GetName(), l))
		}
	}
	used := map[translate.ClusterKey]bool{}
	for _, key := range g.MeshHosts() {
		if key.Consumer != consumer {
			continue
		}
		host := translated(g.MeshHost(key))
		all = append(all, host.resources...)
		for _, cluster := range host.clusters {
			used[cluster] = true
		}
	}
	return append(all, backends(g, used)...)
}

func everythingOfScope(g *graph.Graph, scope *graph.ScopeFacts) []*cache.Resource {
	var all []*cache.Resource
	used, tables := map[translate.ClusterKey]bool{}, map[graph.TableKey]*table{}
	listeners, streamed := translate.Listeners(scope)
	for _, key := range streamed {
		used[key] = true
	}
	for _, l := range listeners {
		all = append(all, encode(resource.ListenerType, l.GetName(), l))
	}
	for _, s := range translate.Secrets(scope) {
		all = append(all, encode(resource.SecretType, s.GetName(), s))
	}
	for _, key := range g.VirtualHosts(scope.Key) { // sorted by domain
		host, clusters := translate.VirtualHost(g.VirtualHost(key))
		if tables[key.Table] == nil {
			tables[key.Table] = newTable(key.Table)
		}
		tables[key.Table].set(key.Domain, marshal(host), clusters)
		for _, key := range clusters {
			used[key] = true
		}
	}
	for key, table := range tables {
		all = append(all, table.assemble(key))
	}
	return append(all, backends(g, used)...)
}

func backends(g *graph.Graph, used map[translate.ClusterKey]bool) []*cache.Resource {
	var all []*cache.Resource
	for key := range used {
		port := g.BackendPort(key.BackendKey)
		all = append(all, encode(resource.ClusterType, key.String(), translate.Cluster(key, port)))
		all = append(all, encodeShared(port)...)
	}
	return all
}

// scopes are those that there can be in a history.
func scopes() []string {
	var names []string
	for _, base := range nodes.Bases() {
		names = append(names, base, nodes.ConsumerScope(base, "app"), nodes.ConsumerScope(base, "infra"))
	}
	for _, key := range append(graphtest.KeysOf(graph.KindGateway), graphtest.KeysOf(graph.KindEnvoyFleet)...) {
		names = append(names, scopeName(key))
	}
	return names
}

// resourceID tells resources apart, down to their bytes.
type resourceID struct {
	cache.Name
	Version string
	Value   string
}

func identify(r *cache.Resource) resourceID {
	return resourceID{cache.Name{TypeURL: r.TypeURL(), Name: r.Name()}, r.Version(), string(r.Any().GetValue())}
}

// readable returns resources in a form that a diff can show.
func readable(resources []*cache.Resource) map[resourceID]string {
	all := map[resourceID]string{}
	for _, r := range resources {
		m, err := r.Any().UnmarshalNew()
		all[identify(r)] = fmt.Sprint(m, err)
	}
	return all
}

// references are the resources that a resource needs.
type references map[cache.Name]bool

// check makes sure that a client takes a resource, and returns what it refers to.
func check(t *testing.T, r *cache.Resource) references {
	t.Helper()
	m, err := r.Any().UnmarshalNew()
	if err != nil {
		t.Fatalf("%s %q: %v", r.TypeURL(), r.Name(), err)
	}
	refs := references{}
	err = protorange.Range(m.ProtoReflect(), func(path protopath.Values) error {
		message, ok := path.Index(-1).Value.Interface().(protoreflect.Message)
		if !ok {
			return nil
		}
		refs.add(message.Interface())
		return invalid(message.Interface())
	})
	if err != nil {
		t.Errorf("%s %q: %v\n%v", r.TypeURL(), r.Name(), err, m)
	}
	return refs
}

// invalid says what Envoy would refuse in a message.
func invalid(m proto.Message) error {
	if regex, ok := m.(*matcherv3.RegexMatcher); ok {
		if _, err := regexp.Compile(regex.GetRegex()); err != nil {
			return err
		}
	}
	if l, ok := m.(*listenerv3.Listener); ok {
		if err := ambiguous(l); err != nil {
			return err
		}
	}
	if v, ok := m.(interface{ ValidateAll() error }); ok {
		return v.ValidateAll()
	}
	return nil
}

// ambiguous says which filter chains have the same name or match.
func ambiguous(l *listenerv3.Listener) error {
	names, matches := map[string]bool{}, map[string]bool{}
	for _, chain := range l.GetFilterChains() {
		match := fmt.Sprint(chain.GetFilterChainMatch())
		if names[chain.GetName()] || matches[match] {
			return fmt.Errorf("the filter chain %q comes twice, or another one with its match %s", chain.GetName(), match)
		}
		names[chain.GetName()], matches[match] = true, true
	}
	return nil
}

func (refs references) add(m proto.Message) {
	add := func(typeURL string, names ...string) {
		for _, name := range names {
			if name != "" {
				refs[cache.Name{TypeURL: typeURL, Name: name}] = true
			}
		}
	}
	switch m := m.(type) {
	case *hcmv3.Rds:
		add(resource.RouteType, m.GetRouteConfigName())
	case *clusterv3.Cluster_EdsClusterConfig:
		add(resource.EndpointType, m.GetServiceName())
	case *tlsv3.SdsSecretConfig:
		add(resource.SecretType, m.GetName())
	case *routev3.RouteAction:
		add(resource.ClusterType, m.GetCluster())
	case *routev3.WeightedCluster_ClusterWeight:
		add(resource.ClusterType, m.GetName())
	case *routev3.RouteAction_RequestMirrorPolicy:
		add(resource.ClusterType, m.GetCluster())
	case *tcpproxyv3.TcpProxy:
		add(resource.ClusterType, m.GetCluster())
	case *tcpproxyv3.TcpProxy_WeightedCluster_ClusterWeight:
		add(resource.ClusterType, m.GetName())
	case *udpproxyv3.Route:
		add(resource.ClusterType, m.GetCluster())
	}
}

// pending says that something of s waits for the next publication.
func pending(s *scope) bool {
	return len(s.changed)+len(s.update.Set)+len(s.update.Delete)+len(s.clusters) > 0
}

// books returns what a publisher keeps in mind, a line each, but for the resources themselves.
func books(p *publisher) []string {
	var lines []string
	note := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, s := range p.scopes {
		note("%s: wanted %t", s.name, s.wanted)
		for port, names := range s.shared {
			note("%s: the clusters of %s share %v", s.name, port, names)
		}
		for name := range s.named {
			note("%s: %v", s.name, name)
		}
		for key, table := range s.tables {
			note("%s: table %v of %v", s.name, key, slices.Sorted(maps.Keys(table.clusters)))
			for _, c := range table.chunks {
				note("%s: table %v has a chunk of %v", s.name, key, c.domains)
			}
		}
		for key, n := range s.needs {
			note("%s: needs %s %d times", s.name, key, n)
		}
		for key, host := range s.mesh {
			note("%s: %s has %d listeners and needs %v", s.name, key, len(host.named), host.clusters)
		}
	}
	for key, users := range p.users {
		for s := range users {
			note("cluster %s is needed by %s", key, s.name)
		}
	}
	for port, keys := range p.ports {
		note("port %s has %d clusters", port, len(keys))
		for key := range keys {
			note("port %s has the cluster %s", port, key)
		}
	}
	for key := range p.clusters {
		note("cluster %s is encoded", key)
	}
	for port, shared := range p.shared {
		note("%d resources of %s are encoded", len(shared), port)
	}
	slices.Sort(lines)
	return lines
}
