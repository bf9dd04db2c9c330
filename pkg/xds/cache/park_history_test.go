package cache

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// judge is a client that rejects what is bad, and may be bad itself.
type judge struct {
	t      *testing.T
	rand   *rand.Rand
	cache  *Cache
	scope  string
	strict bool // it rejects what ends with "?", too
	delta  *deltaClient
	state  *stateClient

	has map[Name]string // the content
	// rejected are contents that the server knows to be rejected on this connection, with the number of responses sent by then.
	rejected map[Name]map[string]int
	ever     map[Name]map[string]bool // that it rejected, whether the server knows or has forgotten
	// accepted are contents that the client has been sent on this connection, or said to have, and not rejected.
	accepted map[Name]map[string]bool
	// Of a state-of-the-world client: unseen are responses that it has read and not looked at, and taken is the version of each type
	// that it has acknowledged.
	unseen []*discoveryv3.DiscoveryResponse
	taken  map[string]string
}

// The types of the test, with the names that are subscribed to; everything if there are none.
var judged = map[string][]string{cds: nil, lds: nil, rds: {"r0", "r1", "r2"}}

func (j *judge) connect() {
	if j.delta != nil {
		j.delta.close()
		j.delta = newDelta(j.t, j.cache, j.scope)
	} else {
		j.state.close()
		j.state = newState(j.t, j.cache, j.scope)
		j.has = map[Name]string{}
	}
	j.rejected, j.accepted = map[Name]map[string]int{}, map[Name]map[string]bool{}
	j.ever, j.unseen, j.taken = map[Name]map[string]bool{}, nil, map[string]string{}
	for name, content := range j.has {
		j.accept(name, content)
	}
	for _, typeURL := range []string{cds, lds, rds} {
		if j.state != nil {
			j.state.subscribe(typeURL, nil, judged[typeURL]...)
			continue
		}
		versions := map[string]string{}
		for name, content := range j.has {
			if name.TypeURL == typeURL {
				versions[name.Name] = res(typeURL, name.Name, content).Version()
			}
		}
		j.delta.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: judged[typeURL], InitialResourceVersions: versions})
	}
}

func (j *judge) stream() *Stream {
	if j.delta != nil {
		return j.delta.stream
	}
	return j.state.stream
}

func (j *judge) accept(name Name, content string) {
	if j.accepted[name] == nil {
		j.accepted[name] = map[string]bool{}
	}
	j.accepted[name][content] = true
}

func (j *judge) bad(content string) bool {
	return strings.HasSuffix(content, "!") || j.strict && strings.HasSuffix(content, "?")
}

// step reads a response, if there is one.
func (j *judge) step() bool {
	if j.delta != nil {
		if j.delta.err != nil {
			j.connect()
		}
		resp := j.delta.next()
		if resp == nil {
			return false
		}
		told := map[string]string{}
		for _, r := range resp.GetResources() {
			told[r.GetName()] = string(r.GetResource().GetValue())
		}
		message := j.take(resp.GetTypeUrl(), told, resp.GetNonce())
		for _, name := range resp.GetRemovedResources() {
			delete(j.has, Name{resp.GetTypeUrl(), name})
		}
		if message == "" {
			j.delta.ack(resp)
			return true
		}
		j.delta.pump()
		j.blames(resp.GetTypeUrl(), told, message, j.delta.nonce)
		j.delta.reject(resp, message)
		return true
	}
	return j.stepState()
}

// stepState is step in the state-of-the-world protocol. At times the client asks again before it looks at what it has read, and may be
// sent more.
func (j *judge) stepState() bool {
	if j.rand.IntN(3) == 0 {
		if resp := j.state.next(); resp != nil {
			j.unseen = append(j.unseen, resp)
			typeURL := resp.GetTypeUrl()
			j.state.send(&discoveryv3.DiscoveryRequest{TypeUrl: typeURL, ResourceNames: judged[typeURL], ResponseNonce: resp.GetNonce(),
				VersionInfo: j.taken[typeURL]})
			return true
		}
	}
	var resp *discoveryv3.DiscoveryResponse
	if len(j.unseen) > 0 {
		resp, j.unseen = j.unseen[0], j.unseen[1:]
	} else if resp = j.state.next(); resp == nil {
		return false
	}
	typeURL := resp.GetTypeUrl()
	told := map[string]string{}
	for _, a := range resp.GetResources() {
		told[nameOfText(a.GetValue())] = string(a.GetValue())
	}
	news := maps.Clone(told)
	maps.DeleteFunc(news, func(name, content string) bool { return j.has[Name{typeURL, name}] == content })
	if typeURL != rds {
		maps.DeleteFunc(j.has, func(name Name, _ string) bool { return name.TypeURL == typeURL && told[name.Name] == "" })
	}
	message := j.take(typeURL, news, resp.GetNonce())
	if message == "" {
		for name, content := range told {
			j.accept(Name{typeURL, name}, content)
		}
		j.taken[typeURL] = resp.GetVersionInfo()
		j.state.ack(resp)
		return true
	}
	if j.state.pump(""); typeURL == rds || !j.hasMore(typeURL) { // which lists it again, or something else instead
		j.blames(typeURL, news, message, j.state.nonce)
	}
	j.state.reject(resp, message)
	return true
}

// hasMore reports whether another response of a type has been sent.
func (j *judge) hasMore(typeURL string) bool {
	return slices.ContainsFunc(slices.Concat(j.unseen, j.state.inbox), func(r *discoveryv3.DiscoveryResponse) bool { return r.GetTypeUrl() == typeURL })
}

// nameOfText reads the name from a content.
func nameOfText(value []byte) string { return strings.Fields(string(value))[0] }

// take applies what is told, but for what is bad, and perhaps not the rest if something is. It returns what there is to complain of.
func (j *judge) take(typeURL string, told map[string]string, nonce string) string {
	j.t.Helper()
	var complaint []string
	for name, content := range told {
		if since, ok := j.rejected[Name{typeURL, name}][content]; ok && number(nonce) > since {
			j.t.Fatalf("%s=%s is sent again, which was rejected", name, content)
		}
		if j.bad(content) {
			complaint = append(complaint, name+": is bad")
		}
	}
	for name, content := range told {
		if !j.bad(content) && (len(complaint) == 0 || typeURL == cds || j.rand.IntN(2) == 0) {
			j.has[Name{typeURL, name}] = content
		}
		if len(complaint) == 0 {
			j.accept(Name{typeURL, name}, content)
		}
	}
	if len(complaint) > 0 && j.delta != nil && j.rand.IntN(4) == 0 {
		return "something is bad"
	}
	return strings.Join(complaint, ", ")
}

// blames notes what the server makes of a complaint.
func (j *judge) blames(typeURL string, told map[string]string, message string, responses int) {
	for name, content := range told {
		if message != "something is bad" && !j.bad(content) {
			continue
		}
		key := Name{typeURL, name}
		if j.rejected[key] == nil {
			j.rejected[key] = map[string]int{}
		}
		j.rejected[key][content] = responses
		if j.ever[key] == nil {
			j.ever[key] = map[string]bool{}
		}
		j.ever[key][content] = true
		delete(j.accepted[key], content)
	}
}

// forget forgets rejections of what is neither published nor good any more.
func (j *judge) forget() {
	for name, contents := range j.rejected {
		e, ok := j.stream().scope.views[kindOf(name.TypeURL)].entry(name.Name)
		maps.DeleteFunc(contents, func(content string, _ int) bool {
			return !ok || !e.is(res(name.TypeURL, name.Name, content).Version())
		})
	}
}

// check holds that the client has what it should, after it has read all.
func (j *judge) check() {
	j.t.Helper()
	s := j.cache.scopes[j.scope]
	lacks, rejects := false, false
	published := map[Name]bool{}
	for _, r := range j.cache.Resources(j.scope) {
		name := Name{r.TypeURL(), r.Name()}
		if names := judged[r.TypeURL()]; names != nil && !slices.Contains(names, r.Name()) {
			continue
		}
		published[name] = true
		e, _ := s.views[kindOf(r.TypeURL())].entry(r.Name())
		content := string(r.Any().GetValue())
		rejected := func(content string) bool { _, ok := j.rejected[name][content]; return ok }
		got := j.has[name]
		good := ""
		if e.good != nil {
			good = string(e.good.Any().GetValue())
		}
		ok := got == content
		switch {
		case rejected(content):
			lacks, rejects = true, true
			ok = good == "" || j.ever[name][good] || got == good || e.parked == nil
		case e.parked != nil && e.withheld() && (!j.accepted[name][content] || got != content && j.scope != "s"): // it was covered in the meantime
			lacks, rejects = true, rejects || good != "" && rejected(good)
			ok = got != content && (good == "" || j.ever[name][good] || got == good)
		}
		if !ok {
			j.t.Errorf("%s has %s %q, published is %q, good is %q, parked %t, rejected %v", j.kind(), r.Name(), got, content, good, e.parked != nil, j.rejected[name])
		}
	}
	for name := range j.has {
		if !published[name] && (name.TypeURL != rds || j.delta != nil) && !j.held(name) {
			j.t.Errorf("%s still has %s", j.kind(), name.Name)
		}
	}
	st := j.stream()
	if st.Current() == lacks || (len(st.Rejected()) > 0) != rejects {
		j.t.Errorf("%s is current: %t, rejected: %v; it lacks something: %t", j.kind(), st.Current(), st.Rejected(), lacks)
	}
}

// held reports whether the client may still need what was removed.
func (j *judge) held(name Name) bool {
	w := j.stream().watches[kindOf(name.TypeURL)]
	e, ok := w.view.entry(name.Name)
	return ok && e.removed && e.rev > j.stream().heldBack(w) || slices.Contains(w.stale, name.Name)
}

func (j *judge) kind() string {
	if j.delta != nil {
		return "a delta client of " + j.scope
	}
	return "a state-of-the-world client of " + j.scope
}

// verdictWorld publishes things some of which are bad, or bad for some.
type verdictWorld struct {
	rand    *rand.Rand
	n       int
	history map[Name][]string
}

func (w *verdictWorld) update() Update {
	var u Update
	for range 1 + w.rand.IntN(3) {
		typeURL := []string{cds, lds, rds}[w.rand.IntN(3)]
		name := Name{typeURL, fmt.Sprintf("%c%d", map[string]byte{cds: 'c', lds: 'l', rds: 'r'}[typeURL], w.rand.IntN(4))}
		if typeURL != rds && w.rand.IntN(6) == 0 {
			u.Delete = append(u.Delete, name)
			continue
		}
		w.n++
		content := fmt.Sprintf("%s #%d%s", name.Name, w.n, []string{"", "", "", "", "!", "?"}[w.rand.IntN(6)])
		w.history[name] = append(w.history[name], content)
		u.Set = append(u.Set, res(typeURL, name.Name, content))
	}
	return u
}

// park parks or unparks something of a scope, as another replica would.
func (w *verdictWorld) park(c *Cache, scope string) {
	all := slices.SortedFunc(maps.Keys(w.history), func(a, b Name) int { return strings.Compare(a.TypeURL+a.Name, b.TypeURL+b.Name) })
	if len(all) == 0 {
		return
	}
	name := all[w.rand.IntN(len(all))]
	pick := func() *Resource {
		contents := w.history[name]
		return res(name.TypeURL, name.Name, contents[max(0, len(contents)-1-w.rand.IntN(2))])
	}
	version := pick().Version()
	switch w.rand.IntN(4) {
	case 0:
		c.Unpark(scope, name, version)
	case 1:
		c.Park(scope, name, version, nil)
	default:
		good := pick()
		if good.Version() != version && !strings.HasSuffix(string(good.Any().GetValue()), "!") {
			c.Park(scope, name, version, good)
		}
	}
}

// checkCounts compares what is counted with a recount.
func checkCounts(t *testing.T, c *Cache) {
	t.Helper()
	root := c.acquire("s")
	defer c.release(root)
	root.mu.Lock() // of all scopes
	defer root.mu.Unlock()
	unsettled := map[*scope]int{}
	for name, s := range c.scopes {
		current, rejecting, recent := 0, 0, 0
		var lag struct{ new, late int }
		for st := range s.streams {
			n := st.recount()
			current += step(false, n.current)
			rejecting += step(false, n.rejecting)
			lag.new += step(false, st.new)
			lag.late += step(false, st.late)
			recent += step(false, st.recent != nil)
			late := !n.current && time.Since(st.since) >= lateAfter
			if st.late != late || st.recent != nil != (!n.current && !late) || st.new && (st.recent == nil || n.rejecting || n.short) {
				t.Fatalf("%s has a stream that is counted as %+v: since %v, %+v", name, st.lagging, time.Since(st.since), n)
			}
			for in := s; in != nil; in = in.base {
				unsettled[in] += step(false, n.unsettled)
			}
		}
		if s.lag.new != lag.new || s.lag.late != lag.late || s.lag.recent.Len() != recent {
			t.Fatalf("%s counts %d new and %d late streams, and %d that are not late yet, there are %+v and %d", name,
				s.lag.new, s.lag.late, s.lag.recent.Len(), lag, recent)
		}
		if s.current != current || s.rejecting != rejecting {
			t.Fatalf("%s counts %d current and %d rejecting streams, there are %d and %d", name, s.current, s.rejecting, current, rejecting)
		}
	}
	for name, s := range c.scopes {
		if s.unsettled != unsettled[s] {
			t.Fatalf("%s counts %d unsettled streams, there are %d", name, s.unsettled, unsettled[s])
		}
	}
}

// TestHistoryOfVerdicts holds, for random histories of updates, rejections, reconnects and parking, that what was rejected is not
// sent again, nor what is parked to clients that haven't got it; that clients end with what is published or good; and that streams
// are counted right all the time.
func TestHistoryOfVerdicts(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { historyOfVerdicts(t, seed) })
		})
	}
}

func historyOfVerdicts(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	c := New("s")
	moved := map[string]Delivery{}
	c.OnDelivery(func(scope string) { moved[scope] = c.Delivery(scope) })
	w := &verdictWorld{rand: r, history: map[Name][]string{}}
	for range 5 { // a state-of-the-world client can't be told that a route is gone
		c.Publish("s", w.update())
	}
	var clients []*judge
	for i := range 5 {
		j := &judge{t: t, rand: r, cache: c, scope: "s", strict: i%2 == 0, has: map[Name]string{}}
		if seed%2 == 0 && i%3 > 0 {
			j.scope = "s/over"
		}
		if i == 1 || i == 4 {
			j.state = newState(t, c, j.scope)
		} else {
			j.delta = newDelta(t, c, j.scope)
		}
		j.connect()
		clients = append(clients, j)
	}
	scopes := []string{"s", "s", clients[1].scope}
	for i := range 300 {
		if i%10 == 9 {
			time.Sleep(lateAfter / 3)
			synctest.Wait()
		}
		scope := scopes[r.IntN(3)]
		switch n := r.IntN(20); {
		case n < 4:
			c.Publish(scope, w.update())
		case n == 4:
			w.park(c, scope)
		case n == 5 && r.IntN(4) == 0:
			clients[r.IntN(5)].connect()
		default:
			clients[r.IntN(5)].step()
		}
		checkCounts(t, c)
		for _, j := range clients {
			j.forget()
		}
	}
	for again := true; again; {
		again = false
		for _, j := range clients {
			again = j.step() || again
		}
	}
	checkCounts(t, c)
	for _, j := range clients {
		j.check()
		if got, want := moved[j.scope], c.Delivery(j.scope); got != want {
			t.Errorf("the last that was told of %s is %+v, it is %+v", j.scope, got, want)
		}
	}
	for _, s := range c.scopes {
		for i := range s.tables {
			for name, e := range s.tables[i].entries {
				if e.good != nil && e.parked == nil && e.acked {
					t.Errorf("%s is kept in an older version", name)
				}
			}
		}
	}
}
