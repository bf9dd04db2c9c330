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
// drop a response, and with it the map: the version of each name, and of all resources under the key wildcardKey.
const (
	wildcardKey = "\x00*"
	absent      = "\x00absent" // the version of a name that does not exist
)

// content is what a state-of-the-world response says.
type content struct {
	resources []*anypb.Any
	version   string
	told      map[string]string
}

// answerState sends a state-of-the-world client what it subscribes to, if that is not what it was sent last.
func (s *Stream) answerState(w *watch, limit int64) {
	again := map[string]struct{}{}
	var missing []string
	for _, name := range s.rewarmed(w) {
		if w.view.shown(name, limit) != nil {
			again[name] = struct{}{}
		} else {
			missing = append(missing, name)
		}
	}
	c, asked, changed := w.content(limit, again)
	if changed && !asked && s.mustWait(w) {
		w.looked()
		return
	}
	if asked || changed {
		if !w.sendState(c, slices.Collect(maps.Keys(again))) {
			return
		}
		if !w.fresh {
			s.replaces(w, w.changed(limit))
			s.replaces(w, w.view.withheld(limit)) // in their last version, which the client may not have
		}
	}
	w.looked()
	s.caughtUp(w, limit)
	s.rewarms(missing) // until they exist: this protocol can't say that they don't
}

// changed returns what was set since the client was last sent something.
func (w *watch) changed(limit int64) []*Resource {
	if w.removed < w.view.own.forgotten && w.view.base != nil { // and what was under it shows
		return w.view.everything().set
	}
	return w.view.since(span{set: w.set, removed: w.removed, limit: limit}).set
}

// stateResponse is a response that knows whether it was sent.
type stateResponse struct {
	xdscache.PassthroughResponse
	rewarmed []string
	sent     bool
}

// GetDiscoveryResponse is called by go-control-plane to send the response.
func (r *stateResponse) GetDiscoveryResponse() (*discoveryv3.DiscoveryResponse, error) {
	r.sent = true
	return r.PassthroughResponse.GetDiscoveryResponse()
}

// sendState reports whether there was room for the response. There always is: go-control-plane makes room for one response
// of each type.
func (w *watch) sendState(c content, rewarmed []string) bool {
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
	}
	select {
	case w.state.ch <- resp:
		w.state.resp = resp
		w.answered()
		return true
	default:
		return false
	}
}

// content returns what the client is to be told, whether it asks for something that it has not been told of, and whether
// something changed that it has. Resources that were removed after a limit are still there for it.
func (w *watch) content(limit int64, again map[string]struct{}) (c content, asked, changed bool) {
	if w.sub.IsWildcard() {
		return w.wildcardContent(limit, again)
	}
	return w.namedContent(limit, again)
}

func (w *watch) wildcardContent(limit int64, again map[string]struct{}) (c content, asked, changed bool) {
	told, names := w.sub.ReturnedResources(), w.sub.SubscribedResources()
	sum := w.view.sum()
	c.resources = w.view.anys()
	for _, r := range w.view.withheld(limit) {
		sum += r.sum
		c.resources = append(c.resources, r.Any())
	}
	c.version = version(sum)
	c.told = make(map[string]string, len(names)+1)
	c.told[wildcardKey] = c.version
	last, ok := told[wildcardKey]
	asked = !ok
	changed = last != c.version || len(again) > 0
	for name := range names {
		c.told[name] = absent
		if r := w.view.shown(name, limit); r != nil {
			c.told[name] = r.Version()
		}
		if _, ok := told[name]; !ok {
			asked = true
		}
	}
	return c, asked, changed
}

func (w *watch) namedContent(limit int64, again map[string]struct{}) (c content, asked, changed bool) {
	told, names := w.sub.ReturnedResources(), w.sub.SubscribedResources()
	var all, news []*Resource
	var sum uint64
	c.told = make(map[string]string, len(names))
	for name := range names {
		r := w.view.shown(name, limit)
		last, ok := told[name]
		asked = asked || !ok
		if r == nil {
			// Only a type whose responses are full can say that something is gone.
			c.told[name] = absent
			changed = changed || w.kind.full && ok && last != absent
			continue
		}
		c.told[name] = r.Version()
		sum += r.sum
		all = append(all, r)
		if _, again := again[name]; again || last != r.Version() {
			news = append(news, r)
		}
	}
	changed = changed || len(news) > 0
	if w.kind.full {
		news = all
	}
	slices.SortFunc(news, func(a, b *Resource) int { return cmp.Compare(a.Name(), b.Name()) })
	for _, r := range news {
		c.resources = append(c.resources, r.Any())
	}
	c.version = version(sum)
	return c, asked, changed
}
