package cache

import (
	"cmp"
	"maps"
	"slices"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	xdscache "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// What a state-of-the-world client has been sent is kept in the map of its subscription, because go-control-plane may
// drop a response, and with it the map: the version of each name, and under the key wildcardKey that it was sent everything.
const (
	wildcardKey = "\x00*"
	absent      = "\x00absent" // the version of a name that does not exist
)

// content is what a state-of-the-world response says.
type content struct {
	resources []*anypb.Any
	version   string
	told      map[string]string
	sum       uint64      // of everything that is served, if the client subscribes to everything
	news      *difference // what of it the client may not have
}

// answerState sends a state-of-the-world client what it subscribes to, if that is not what it was sent last.
func (s *Stream) answerState(w *watch, limit int64) {
	var rewarmed, missing []string
	for _, name := range s.rewarmed(w) {
		if w.at(name, limit) != nil {
			rewarmed = append(rewarmed, name)
		} else {
			missing = append(missing, name)
		}
	}
	again := map[string]struct{}{}
	for _, name := range slices.Concat(rewarmed, w.answersAgain()) {
		again[name] = struct{}{}
	}
	changes := w.changed(limit)
	c, asked, changed := w.content(limit, again, changes)
	if (asked || changed) && s.mustWait(w) {
		return
	}
	if asked || changed {
		if has := w.state.req.GetVersionInfo(); w.fresh && has != "" && has != c.version {
			s.scope.isKnown(s)
		}
		if !s.sendState(w, c, rewarmed) {
			return
		}
		if !w.fresh {
			s.replaces(w, changes.set)
			for name, e := range w.view.heldBack(limit) {
				if r := w.see(name, e); r != nil {
					s.replaces(w, []*Resource{r})
				}
			}
		}
	}
	w.again = nil
	w.looked()
	s.caughtUp(w, limit)
	s.rewarms(missing) // until they exist: this protocol can't say that they don't
}

// changed returns what was set since the client was last sent something, and notes what of it is parked.
func (w *watch) changed(limit int64) *difference {
	if w.fresh {
		return w.view.everythingServed()
	}
	d := w.view.since(span{set: w.set, removed: w.removed, limit: limit})
	for _, r := range d.parked {
		w.lack(r)
	}
	if w.removed < w.view.own.forgotten && w.view.base != nil { // and what was under it shows
		return w.admit(w.view.everythingServed())
	}
	return w.admit(d)
}

// stateResponse is a response that knows whether it was sent.
type stateResponse struct {
	xdscache.PassthroughResponse
	sent bool

	// What was noted before it: endpoints to be sent again, other resources likewise, and where the client was.
	rewarmed, again []string
	set, removed    int64
	fresh           bool
	sum             uint64
	kept            map[string]struct{}
	lacks           map[string]string
}

// GetDiscoveryResponse is called by go-control-plane to send the response.
func (r *stateResponse) GetDiscoveryResponse() (*discoveryv3.DiscoveryResponse, error) {
	r.sent = true
	return r.PassthroughResponse.GetDiscoveryResponse()
}

// sendState reports whether there was room for the response. There always is: go-control-plane makes room for one response
// of each type.
func (s *Stream) sendState(w *watch, c content, rewarmed []string) bool {
	resp := &stateResponse{
		PassthroughResponse: xdscache.PassthroughResponse{
			Request:           w.state.req,
			ReturnedResources: c.told,
			DiscoveryResponse: &discoveryv3.DiscoveryResponse{
				TypeUrl:     w.kind.typeURL,
				VersionInfo: c.version,
				Resources:   c.resources,
			},
		},
		rewarmed: rewarmed,
		again:    slices.Collect(maps.Keys(w.again)),
		set:      w.set,
		removed:  w.removed,
		fresh:    w.fresh,
		sum:      w.sum,
		kept:     w.kept,
		lacks:    maps.Clone(w.lacks),
	}
	select {
	case w.state.ch <- resp:
		w.state.resp, w.sum, w.kept = resp, c.sum, nil
		w.awaits(pending{state: resp.DiscoveryResponse, content: c.news, version: c.version, at: s.scope.rev})
		return true
	default:
		return false
	}
}

// content returns what the client is to be told, whether it asks for something that it has not been told of, and whether
// something changed that it has. Resources that were removed after a limit are still there for it.
func (w *watch) content(limit int64, again map[string]struct{}, changes *difference) (c content, asked, changed bool) {
	if w.sub.IsWildcard() {
		return w.wildcardContent(limit, again, changes)
	}
	return w.namedContent(limit, again)
}

func (w *watch) wildcardContent(limit int64, again map[string]struct{}, changes *difference) (c content, asked, changed bool) {
	told, names := w.sub.ReturnedResources(), w.sub.SubscribedResources()
	var sum uint64
	c.resources, sum = w.everything(limit)
	c.version = version(sum)
	maybe := slices.Collect(maps.Keys(w.again))
	for name, e := range w.view.heldBack(limit) { // in their last version, which the client may not have
		if e.rev > w.set {
			maybe = append(maybe, name)
		}
	}
	c.news, _ = w.repeat(changes, maybe, limit)
	c.told = make(map[string]string, len(names)+1)
	c.told[wildcardKey] = c.version
	_, ok := told[wildcardKey]
	asked = !ok
	changed = sum != w.sum || len(again) > 0
	for name := range w.kept {
		e, ok := w.view.entry(name)
		changed = changed || !ok || e.removed && e.rev <= limit
	}
	c.sum = sum
	for name := range names {
		c.told[name] = absent
		if r := w.at(name, limit); r != nil {
			c.told[name] = r.Version()
		}
		if _, ok := told[name]; !ok {
			asked = true
		}
	}
	return c, asked, changed
}

// everything returns what is served to a client that subscribes to everything, and the sum of that.
func (w *watch) everything(limit int64) (resources []*anypb.Any, sum uint64) {
	sum = w.view.sum()
	if !w.view.anyParked() && len(w.rejected) == 0 {
		resources = w.view.anys()
	} else {
		for _, r := range w.view.everything().set {
			sum -= r.sum
			if r = w.at(r.Name(), limit); r != nil {
				sum += r.sum
				resources = append(resources, r.Any())
			}
		}
	}
	held := w.view.heldBack(limit)
	resources = slices.Clip(resources)
	for _, name := range slices.Sorted(maps.Keys(held)) {
		if r := w.see(name, held[name]); r != nil {
			sum += r.sum
			resources = append(resources, r.Any())
		}
	}
	return resources, sum
}

func (w *watch) namedContent(limit int64, again map[string]struct{}) (c content, asked, changed bool) {
	told, names := w.sub.ReturnedResources(), w.sub.SubscribedResources()
	var all []*Resource
	var sum uint64
	c.told = make(map[string]string, len(names))
	c.news = &difference{}
	maps.DeleteFunc(w.used, func(name string, _ *Resource) bool { return !subscribed(w.sub, name) })
	for name := range names {
		last, ok := told[name]
		e, exists := w.view.entry(name)
		if exists && e.withheld() && last != e.res.Version() {
			w.lack(e.res)
		}
		r := w.at(name, limit)
		if r == nil {
			r = w.keepsUsed(name, last)
		}
		asked = asked || !ok
		if r == nil {
			// Only a type whose responses are full can say that something is gone.
			c.told[name] = absent
			changed = changed || w.kind.full && ok && last != absent && (!exists || e.removed || !w.hasRejected(name, last))
			continue
		}
		c.told[name] = r.Version()
		sum += r.sum
		all = append(all, r)
		if _, again := again[name]; again || last != r.Version() {
			c.news.set = append(c.news.set, r)
		}
	}
	changed = changed || len(c.news.set) > 0
	slices.SortFunc(c.news.set, byName)
	if !w.kind.full {
		all = c.news.set
	}
	slices.SortFunc(all, byName)
	c.resources = anys(all)
	c.version = version(sum)
	return c, asked, changed
}

// keepsUsed returns a cluster that is gone and that the client still asks for by name, having been told of it; or nil. gRPC asks for
// it while calls are routed to it, which would fail or wait for ever if they were told that it is gone.
func (w *watch) keepsUsed(name, told string) *Resource {
	e, ok := w.view.entry(name)
	if w.kind != &kinds[clusters] || told == "" || told == absent || w.hasRejected(name, told) || ok && !e.removed {
		return nil
	}
	if ok {
		if w.used == nil {
			w.used = map[string]*Resource{}
		}
		w.used[name] = e.res
	}
	return w.used[name]
}

func byName(a, b *Resource) int { return cmp.Compare(a.Name(), b.Name()) }
