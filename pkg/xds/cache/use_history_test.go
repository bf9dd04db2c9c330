package cache

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
)

// slowNode is an Envoy that takes its time to answer and to ask, and rejects what is wrong.
type slowNode struct {
	t      *testing.T
	rand   *rand.Rand
	cache  *Cache
	scope  string
	strict bool // it rejects what ends with "?", too
	delta  *deltaClient
	state  *stateClient

	has   map[string]map[string]string // contents by type and name
	asked map[string]map[string]bool   // names of endpoints and tables
	last  map[string]*discoveryv3.DiscoveryResponse
	taken map[string]string // the version that it has acknowledged
	begun map[string]bool
	todo  []request // that it has not made
	trace []string
}

// request is one of those for a type, which are made in order. The first ones are, too.
type request struct {
	typeURL string
	first   bool
	send    func()
}

func (n *slowNode) logf(format string, args ...any) {
	n.trace = append(n.trace, fmt.Sprintf(format, args...))
}

func (n *slowNode) fatalf(format string, args ...any) {
	n.t.Helper()
	n.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(n.trace, "\n"))
}

func (n *slowNode) connect() {
	n.logf("connects")
	n.todo, n.begun = nil, map[string]bool{}
	if n.has == nil || n.state != nil { // in that protocol it can't say what it has, so it starts anew
		n.has, n.asked = map[string]map[string]string{}, map[string]map[string]bool{}
		for typeURL := range shortTypes {
			n.has[typeURL], n.asked[typeURL] = map[string]string{}, map[string]bool{}
		}
		n.last, n.taken = map[string]*discoveryv3.DiscoveryResponse{}, map[string]string{}
	}
	if n.state != nil {
		n.state.close()
		n.state = newState(n.t, n.cache, n.scope)
	} else {
		n.delta.close()
		n.delta = newDelta(n.t, n.cache, n.scope)
	}
	for _, typeURL := range []string{cds, eds, lds, rds} {
		n.todo = append(n.todo, request{typeURL, true, func() { n.begin(typeURL) }})
	}
}

// begin makes the first request for a type.
func (n *slowNode) begin(typeURL string) {
	n.begun[typeURL] = true
	names := names(n.asked[typeURL])
	n.logf("begins with %s %v", shortTypes[typeURL], names)
	if (typeURL == eds || typeURL == rds) && len(names) == 0 {
		return
	}
	if n.state != nil {
		n.state.subscribe(typeURL, nil, names...)
		return
	}
	versions := map[string]string{}
	for name, c := range n.has[typeURL] {
		versions[name] = resourceOf(Name{typeURL, name}, c).Version()
	}
	n.delta.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: names, InitialResourceVersions: versions})
}

// ask makes the next request.
func (n *slowNode) ask() bool {
	if len(n.todo) == 0 {
		return false
	}
	typeURL := n.todo[n.rand.IntN(len(n.todo))].typeURL
	i := slices.IndexFunc(n.todo, func(r request) bool { return r.typeURL == typeURL })
	if n.todo[0].first {
		i = 0
	}
	next := n.todo[i]
	n.todo = slices.Delete(n.todo, i, i+1)
	next.send()
	return true
}

// read takes a response, and answers it later.
func (n *slowNode) read() bool {
	if n.delta != nil {
		return n.readDelta()
	}
	resp := n.state.next()
	if resp == nil {
		return false
	}
	typeURL := resp.GetTypeUrl()
	n.logf("gets %s", stateString(resp))
	told := map[string]string{}
	for _, a := range resp.GetResources() {
		told[nameOf(a)] = text(typeURL, a.GetValue())
	}
	var gone []string
	for name := range n.has[typeURL] {
		if _, ok := told[name]; !ok && (typeURL == cds || typeURL == lds) {
			gone = append(gone, name)
		}
	}
	wrong := n.apply(typeURL, told, gone)
	n.last[typeURL] = resp
	n.todo = append(n.todo, request{typeURL: typeURL, send: func() {
		if n.last[typeURL] != resp && n.rand.IntN(2) == 0 {
			return // it answers the last one
		}
		n.logf("answers %s, %q", shortTypes[typeURL], wrong)
		req := &discoveryv3.DiscoveryRequest{TypeUrl: typeURL, ResourceNames: names(n.asked[typeURL]), ResponseNonce: resp.GetNonce()}
		if wrong == "" {
			n.taken[typeURL] = resp.GetVersionInfo()
		} else {
			req.ErrorDetail = &status.Status{Message: wrong}
		}
		req.VersionInfo = n.taken[typeURL]
		n.state.send(req)
	}})
	n.check()
	return true
}

func (n *slowNode) readDelta() bool {
	if n.delta.err != nil {
		n.connect()
	}
	resp := n.delta.next()
	if resp == nil {
		return false
	}
	n.logf("gets %s", deltaString(resp))
	typeURL, told := resp.GetTypeUrl(), map[string]string{}
	for _, r := range resp.GetResources() {
		told[r.GetName()] = text(typeURL, r.GetResource().GetValue())
	}
	wrong := n.apply(typeURL, told, resp.GetRemovedResources())
	delta := n.delta
	n.todo = append(n.todo, request{typeURL: typeURL, send: func() {
		n.logf("answers %s, %q", shortTypes[typeURL], wrong)
		if wrong == "" {
			delta.ack(resp)
		} else {
			delta.reject(resp, wrong)
		}
	}})
	n.check()
	return true
}

// check holds that everything that is used is there.
func (n *slowNode) check() {
	n.t.Helper()
	for name, content := range n.has[lds] {
		table, clusters := uses(lds, content)
		if routes, ok := n.has[rds][table]; ok {
			_, more := uses(rds, routes)
			clusters = append(slices.Clip(clusters), more...)
		}
		for _, c := range clusters {
			if _, ok := n.has[cds][c]; !ok {
				n.fatalf("listener %q with the table %q uses %s, but there are only the clusters %v", n.has[lds][name], n.has[rds][table], c, n.has[cds])
			}
		}
	}
}

// apply takes what is told, but for what is wrong, and returns what that is.
func (n *slowNode) apply(typeURL string, told map[string]string, gone []string) (wrong string) {
	for name, content := range told {
		if strings.HasSuffix(content, "!") || n.strict && strings.HasSuffix(content, "?") {
			wrong += name + " is wrong, "
		} else if _, ok := n.asked[typeURL][name]; ok || typeURL == cds || typeURL == lds {
			n.has[typeURL][name] = content
		}
	}
	for _, name := range gone {
		if typeURL != rds { // Envoy ignores that a route table is removed
			delete(n.has[typeURL], name)
		}
	}
	switch typeURL {
	case cds:
		n.subscribe(eds, n.has[cds])
	case lds:
		tables := map[string]string{}
		for _, content := range n.has[lds] {
			if table, _ := uses(lds, content); table != "-" {
				tables[table] = ""
			}
		}
		n.subscribe(rds, tables)
	}
	return wrong
}

// subscribe asks for what is used by now.
func (n *slowNode) subscribe(typeURL string, used map[string]string) {
	var add, drop []string
	for _, name := range names(used) {
		if !n.asked[typeURL][name] {
			add = append(add, name)
			n.asked[typeURL][name] = true
		}
	}
	for _, name := range names(n.asked[typeURL]) {
		if _, ok := used[name]; !ok {
			drop = append(drop, name)
			delete(n.asked[typeURL], name)
			delete(n.has[typeURL], name)
		}
	}
	if len(add)+len(drop) == 0 || !n.begun[typeURL] {
		return
	}
	n.logf("asks for %s +%v -%v", shortTypes[typeURL], add, drop)
	if n.delta != nil {
		n.delta.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: add, ResourceNamesUnsubscribe: drop})
		return
	}
	n.state.send(&discoveryv3.DiscoveryRequest{TypeUrl: typeURL, ResourceNames: names(n.asked[typeURL]),
		ResponseNonce: n.last[typeURL].GetNonce(), VersionInfo: n.taken[typeURL]})
}

// TestHistoryOfUses holds, for random histories of updates, rejections and reconnects, that no client that is slow to answer ever
// has a listener, or a route table of one, whose clusters it doesn't have, and that clients end with what is published.
func TestHistoryOfUses(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 11))
			c, scope := New("s"), "s"
			if seed%4 == 3 {
				scope = "s/over"
			}
			g := &gateways{rand: r, contents: map[Name]string{}, sound: seed%2 == 0}
			var trace []string
			rejectElsewhere := func() {
				if name, ok := g.anyConsumer(g.contents); ok && !g.all {
					trace = append(trace, g.rejectedElsewhere(c, name, g.contents[name]))
				}
			}
			publish := func() {
				u := g.update()
				line := "published:"
				for _, r := range u.Set {
					line += fmt.Sprintf(" +%s=%s", r.Name(), text(r.TypeURL(), r.Any().GetValue()))
				}
				for _, n := range u.Delete {
					line += fmt.Sprintf(" -%s %s", shortTypes[n.TypeURL], n.Name)
				}
				trace = append(trace, line)
				if r.IntN(6) == 0 { // the other replica was first
					rejectElsewhere()
				}
				c.Publish("s", u)
			}
			publish()
			var nodes []*slowNode
			for i := range 4 {
				n := &slowNode{t: t, rand: r, cache: c, scope: scope, strict: i < 2}
				if i%2 == 0 {
					n.delta = newDelta(t, c, scope)
				} else {
					n.state = newState(t, c, scope)
				}
				n.connect()
				nodes = append(nodes, n)
			}
			for range 400 {
				n := nodes[r.IntN(len(nodes))]
				switch k := r.IntN(100); {
				case k < 15:
					publish()
					for _, n := range nodes {
						n.trace = append(n.trace, trace...)
					}
					trace = nil
				case k < 18:
					rejectElsewhere()
				case k < 55:
					n.read()
				case k < 98:
					n.ask()
				default:
					n.connect()
				}
			}
			g.sound, g.all = true, true
			publish()
			for _, n := range nodes {
				n.trace = append(n.trace, trace...)
			}
			for again := true; again; {
				again = false
				for _, n := range nodes {
					again = n.read() || n.ask() || again
				}
			}
			for _, n := range nodes {
				n.equals(g.contents)
			}
		})
	}
}

// equals holds that the node has what is published of what it asks for.
func (n *slowNode) equals(want map[Name]string) {
	n.t.Helper()
	got := map[Name]string{}
	for typeURL, contents := range n.has {
		for name, content := range contents {
			got[Name{typeURL, name}] = content
		}
	}
	if !maps.Equal(got, want) {
		n.fatalf("client has\n%v, published is\n%v", got, want)
	}
}
