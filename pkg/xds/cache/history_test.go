package cache

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// world writes random updates after each of which every cluster that a route names exists.
type world struct {
	rand     *rand.Rand
	clusters map[string]bool
	routes   map[string][]string // the clusters that each uses
	version  int64
}

func newWorld(r *rand.Rand) *world {
	return &world{rand: r, clusters: map[string]bool{}, routes: map[string][]string{}}
}

func (w *world) update() Update {
	var u Update
	w.version++
	before := maps.Clone(w.clusters)
	for i := range w.rand.IntN(4) {
		name := fmt.Sprintf("c%d", w.rand.IntN(6))
		w.clusters[name] = true
		if i < 3 { // sometimes without endpoints
			u.Set = append(u.Set, named(eds, name, fmt.Sprint(w.rand.IntN(3))))
		}
		u.Set = append(u.Set, edsCluster(name, w.version))
	}
	for _, name := range names(before) {
		if w.rand.IntN(4) == 0 && len(w.clusters) > 1 {
			delete(w.clusters, name)
		}
	}
	live := slices.Sorted(maps.Keys(w.clusters))
	for i := range 4 {
		name := fmt.Sprintf("r%d", i)
		dangling := slices.ContainsFunc(w.routes[name], func(c string) bool { return !w.clusters[c] })
		if len(live) == 0 || !dangling && w.rand.IntN(3) > 0 {
			continue
		}
		w.routes[name] = []string{live[w.rand.IntN(len(live))], live[w.rand.IntN(len(live))]}
		u.Set = append(u.Set, named(rds, name, fmt.Sprintf("%s #%d", strings.Join(w.routes[name], " "), w.version)))
	}
	if w.rand.IntN(3) == 0 {
		u.Set = append(u.Set, named(lds, fmt.Sprint("l", w.rand.IntN(3)), fmt.Sprint(w.version)))
	}
	if w.rand.IntN(3) == 0 {
		u.Delete = append(u.Delete, Name{lds, fmt.Sprint("l", w.rand.IntN(3))})
	}
	for _, name := range names(before) {
		if !w.clusters[name] {
			u.Delete = append(u.Delete, Name{cds, name}, Name{eds, name})
		}
	}
	u.Set = slices.DeleteFunc(u.Set, func(r *Resource) bool { // what was made and unmade at once
		return (r.TypeURL() == cds || r.TypeURL() == eds) && !w.clusters[r.Name()]
	})
	w.rand.Shuffle(len(u.Set), func(i, j int) { u.Set[i], u.Set[j] = u.Set[j], u.Set[i] })
	return u
}

// named returns a resource whose content begins with its name.
func named(typeURL, name, content string) *Resource { return res(typeURL, name, name+" "+content) }

// envoy is what Envoy does with what it is told: it asks for the endpoints of each cluster, and acknowledges clusters when
// all that were new have their endpoints.
type envoy struct {
	t       *testing.T
	has     map[string]map[string]*anypb.Any // by type and name
	warming map[string]bool
	asked   map[string]bool // endpoints
	scope   string
	// unordered: the cache forgets removals early, and with them what it would have held back.
	unordered bool
	// layered: what is set over a resource and removed again leaves that one, which is sent in any case.
	layered bool
}

func newEnvoy(t *testing.T, scope string, unordered bool) *envoy {
	e := &envoy{t: t, scope: scope, unordered: unordered, layered: scope != "s", has: map[string]map[string]*anypb.Any{}, warming: map[string]bool{}, asked: map[string]bool{}}
	for typeURL := range shortTypes {
		e.has[typeURL] = map[string]*anypb.Any{}
	}
	return e
}

// cluster takes a changed cluster, which has no endpoints until they are sent again.
func (e *envoy) cluster(name string) {
	e.warming[name] = true
	delete(e.has[eds], name)
}

func (e *envoy) forget(name string) {
	delete(e.has[cds], name)
	delete(e.has[eds], name)
	delete(e.warming, name)
	delete(e.asked, name)
}

func (e *envoy) warm(name string, a *anypb.Any) {
	delete(e.warming, name)
	if a != nil {
		e.has[eds][name] = a
	}
}

// check holds that every cluster that a route uses is there.
func (e *envoy) check() {
	e.t.Helper()
	if e.unordered {
		return
	}
	for name, route := range e.has[rds] {
		for _, c := range strings.Fields(string(route.GetValue()))[1:] {
			if c[0] != '#' && e.has[cds][c] == nil {
				e.t.Fatalf("route %s uses %s, but the clusters are %q", name, c, names(e.has[cds]))
			}
		}
	}
}

// equals holds that Envoy has exactly what is published.
func (e *envoy) equals(c *Cache) {
	e.t.Helper()
	var got []string
	for _, k := range kinds {
		for _, name := range names(e.has[k.typeURL]) {
			a := e.has[k.typeURL][name]
			got = append(got, fmt.Sprintf("%s %s=%s", shortTypes[k.typeURL], name, text(k.typeURL, a.GetValue())))
		}
	}
	if want := resources(c, e.scope); strings.Join(got, ", ") != want {
		e.t.Fatalf("client has\n%s, published is\n%s", strings.Join(got, ", "), want)
	}
}

var routeNames = []string{"r0", "r1", "r2", "r3"}

type deltaEnvoy struct {
	*envoy
	client *deltaClient
	held   *discoveryv3.DeltaDiscoveryResponse // clusters that are warming
}

func (e *deltaEnvoy) connect(c *Cache) {
	if e.client != nil {
		e.client.close()
	}
	e.client, e.held = newDelta(e.t, c, e.scope), nil
	clear(e.warming)
	versions := func(typeURL string) map[string]string {
		out := map[string]string{}
		for name, a := range e.has[typeURL] {
			out[name] = NewResource(typeURL, name, a.GetValue()).Version()
		}
		return out
	}
	for _, k := range kinds {
		req := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: k.typeURL, InitialResourceVersions: versions(k.typeURL)}
		switch k.typeURL {
		case eds:
			if req.ResourceNamesSubscribe = names(e.asked); len(e.asked) == 0 {
				continue
			}
		case rds:
			req.ResourceNamesSubscribe = routeNames
		case sds:
			continue
		}
		e.client.send(req)
	}
}

// step reads a response, if there is one.
func (e *deltaEnvoy) step(c *Cache) bool {
	if e.client.err != nil { // too far behind
		e.connect(c)
	}
	resp := e.client.next()
	if resp == nil {
		return false
	}
	var subscribe, unsubscribe []string
	for _, r := range resp.GetResources() {
		if resp.GetTypeUrl() == eds && !e.asked[r.GetName()] {
			continue // unsubscribed from in the meantime
		}
		if had := e.has[resp.GetTypeUrl()][r.GetName()]; had != nil && resp.GetTypeUrl() != eds && !e.layered &&
			string(had.GetValue()) == string(r.GetResource().GetValue()) {
			e.t.Fatalf("%s %s=%s was sent twice", shortTypes[resp.GetTypeUrl()], r.GetName(), text(resp.GetTypeUrl(), had.GetValue()))
		}
		e.has[resp.GetTypeUrl()][r.GetName()] = r.GetResource()
		switch resp.GetTypeUrl() {
		case cds:
			e.cluster(r.GetName())
			if !e.asked[r.GetName()] {
				e.asked[r.GetName()] = true
				subscribe = append(subscribe, r.GetName())
			}
		case eds:
			e.warm(r.GetName(), r.GetResource())
		}
	}
	for _, name := range resp.GetRemovedResources() {
		delete(e.has[resp.GetTypeUrl()], name)
		switch resp.GetTypeUrl() {
		case cds:
			if e.asked[name] {
				unsubscribe = append(unsubscribe, name)
			}
			e.forget(name)
		case eds:
			e.warm(name, nil)
		}
	}
	e.check()
	if len(subscribe)+len(unsubscribe) > 0 {
		e.client.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: eds, ResourceNamesSubscribe: subscribe, ResourceNamesUnsubscribe: unsubscribe})
	}
	if resp.GetTypeUrl() == cds {
		e.held = resp
	} else {
		e.client.ack(resp)
	}
	if e.held != nil && len(e.warming) == 0 {
		held := e.held
		e.held = nil
		e.client.ack(held)
	}
	return true
}

type stateEnvoy struct {
	*envoy
	client *stateClient
	held   *discoveryv3.DiscoveryResponse
	last   *discoveryv3.DiscoveryResponse // of endpoints
}

func (e *stateEnvoy) connect(c *Cache) {
	if e.client != nil {
		e.client.close()
	}
	// In this protocol a client does not say what it has, so a reconnect may break before it makes: it starts anew.
	e.client, e.held, e.last, e.envoy = newState(e.t, c, e.scope), nil, nil, newEnvoy(e.t, e.scope, e.unordered)
	e.client.subscribe(cds, nil)
	if len(e.asked) > 0 {
		e.client.subscribe(eds, nil, names(e.asked)...)
	}
	e.client.subscribe(lds, nil)
	e.client.subscribe(rds, nil, routeNames...)
}

func (e *stateEnvoy) step() bool {
	resp := e.client.next()
	if resp == nil {
		return false
	}
	typeURL := resp.GetTypeUrl()
	switch typeURL {
	case cds:
		e.clusters(resp)
		e.held = resp
	case eds:
		for _, a := range resp.GetResources() {
			name := nameOf(a)
			if e.asked[name] {
				e.warm(name, a)
			}
		}
		for name := range e.warming { // nothing says that endpoints are missing, but a timeout
			if e.client.stream.scope.views[endpoints].get(name) == nil {
				e.warm(name, nil)
			}
		}
		e.last = resp
		e.client.subscribe(eds, resp, names(e.asked)...)
	default:
		if typeURL == lds {
			clear(e.has[lds])
		}
		for _, a := range resp.GetResources() {
			e.has[typeURL][nameOf(a)] = a
		}
		e.client.ack(resp)
	}
	e.check()
	e.acknowledge()
	return true
}

func (e *stateEnvoy) clusters(resp *discoveryv3.DiscoveryResponse) {
	next := map[string]*anypb.Any{}
	for _, a := range resp.GetResources() {
		next[nameOf(a)] = a
	}
	asked := len(e.asked)
	var changed bool
	for name := range e.has[cds] {
		if next[name] == nil {
			e.forget(name)
			changed = true
		}
	}
	for name, a := range next {
		if had := e.has[cds][name]; had == nil || string(had.GetValue()) != string(a.GetValue()) {
			e.has[cds][name] = a
			e.cluster(name)
			e.asked[name] = true
		}
	}
	if changed || asked != len(e.asked) {
		e.client.subscribe(eds, e.last, names(e.asked)...)
	}
}

func (e *stateEnvoy) acknowledge() {
	if e.held != nil && len(e.warming) == 0 {
		held := e.held
		e.held = nil
		e.client.ack(held)
	}
}

// timeout ends the warming of clusters that have no endpoints.
func (e *stateEnvoy) timeout() bool {
	before := len(e.warming)
	for name := range e.warming {
		if e.client.stream.scope.views[endpoints].get(name) == nil {
			e.warm(name, nil)
		}
	}
	e.acknowledge()
	return len(e.warming) != before
}

// nameOf reads the name from a message, as state-of-the-world clients have to.
func nameOf(a *anypb.Any) string {
	if a.GetTypeUrl() != cds {
		return strings.Fields(string(a.GetValue()))[0]
	}
	var c clusterv3.Cluster
	if err := proto.Unmarshal(a.GetValue(), &c); err != nil {
		panic(err)
	}
	return c.GetName()
}

// TestHistory holds, for random histories of updates, slow acknowledgements and reconnects, that no route ever uses a
// cluster that the client does not have, that nothing is sent twice, and that clients end with what is published.
func TestHistory(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			c := New()
			forgetful := seed%4 == 0
			if forgetful {
				c.keep = 1 // streams get too far behind
			}
			w := newWorld(r)
			runHistory(t, c, r, "s", forgetful, func() { c.Publish("s", w.update()) })
		})
	}
}

// runHistory has two clients of a scope read while something publishes to it.
func runHistory(t *testing.T, c *Cache, r *rand.Rand, scope string, forgetful bool, publish func()) {
	t.Helper()
	d := &deltaEnvoy{envoy: newEnvoy(t, scope, forgetful)}
	s := &stateEnvoy{envoy: newEnvoy(t, scope, forgetful)}
	d.connect(c)
	s.connect(c)
	for range 200 {
		switch n := r.IntN(100); {
		case n < 30:
			publish()
		case n < 60:
			d.step(c)
		case n < 90:
			s.step()
		case n < 98:
			s.timeout()
		case n == 98:
			d.connect(c)
		default:
			s.connect(c)
		}
	}
	publish()
	for d.step(c) || s.step() || s.timeout() {
	}
	d.equals(c)
	maps.DeleteFunc(s.has[eds], func(name string, _ *anypb.Any) bool { return c.scopes[scope].views[endpoints].get(name) == nil })
	s.equals(c)
}

// TestLayeredHistory is TestHistory for clients of a scope that lies over another one. Both are published to, and the former is
// withdrawn at times.
func TestLayeredHistory(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 2))
			c := New("s")
			forgetful := seed%4 == 0
			if forgetful {
				c.keep = 1
			}
			base, over := newWorld(r), newWorld(r)
			base.version = 1 << 20                   // so that contents differ
			for len(base.routes) < len(routeNames) { // state-of-the-world clients can't be told that a route is gone
				c.Publish("s", base.update())
			}
			runHistory(t, c, r, "s/over", forgetful, func() {
				switch n := r.IntN(10); {
				case n < 4:
					c.Publish("s", base.update())
				case n < 9:
					c.Publish("s/over", over.update())
				default:
					c.Withdraw("s/over")
					over = &world{rand: r, version: over.version, clusters: map[string]bool{}, routes: map[string][]string{}}
				}
			})
			checkLayers(t, c)
		})
	}
}

// checkLayers holds that what is seen of a scope is what is in it, and else what is in the one that it lies over.
func checkLayers(t *testing.T, c *Cache) {
	t.Helper()
	want := map[Name]*Resource{}
	for _, scope := range []*scope{c.scopes["s"], c.scopes["s/over"]} {
		for i := range scope.tables {
			for _, r := range scope.tables[i].live(nil) {
				want[Name{r.TypeURL(), r.Name()}] = r
			}
		}
	}
	seen := c.Resources("s/over")
	for _, r := range seen {
		if want[Name{r.TypeURL(), r.Name()}] != r {
			t.Errorf("%s %s is not the one that is to be seen", shortTypes[r.TypeURL()], r.Name())
		}
	}
	if len(seen) != len(want) {
		t.Errorf("%d resources are seen, want %d", len(seen), len(want))
	}
}
