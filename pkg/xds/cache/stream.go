package cache

import (
	"math"
	"slices"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	xdscache "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
)

// Stream is the view that one xDS stream has of a scope, either of the delta protocol (Delta) or of the state-of-the-world protocol
// (CreateWatch and Late). For the latter it is the ConfigWatcher of the go-control-plane server that serves this stream and no other,
// which must have ordered ADS, for only so it keeps the order of responses, and legacy wildcards off for all types but listeners and
// clusters, as the protocol has them.
type Stream struct {
	cache *Cache
	scope *scope
	node  any
	moved func() // or nil
	// observes: the client isn't one of those that Delivery counts.
	observes bool
	watches  [len(kinds)]*watch
	// rewarm are the endpoints of clusters that the client was sent anew. Envoy replaces such a cluster by one that has no
	// endpoints until they are sent to it again, changed or not (the protocol's section "Resource warming").
	rewarm map[string]struct{}

	// nonces is how many responses of the delta protocol there were.
	nonces uint64
	// ended: it has been told an error, and is answered no more.
	ended bool

	counts // as they are in those of the scope
	// since is when the client ceased to be current, or the stream began.
	since time.Time
	lagging
}

// watch is the subscription of a stream to a type.
type watch struct {
	kind *kind
	view *view

	// The last request, and where its response goes: either delta or state.
	sub   xdscache.Subscription
	delta *deltaWatch
	state *stateWatch
	open  bool // the request has not been answered, and may be

	fresh     bool // nothing has been answered yet
	requested bool // the request has not been looked at, or what it asks for has to wait
	wildcard  bool // the subscription was to everything, when last looked at

	// set and removed are the revisions up to which the client has been sent what was set and what was removed, which may be
	// held back: removed is not newer than set.
	set, removed int64
	// start is the revision at which the client was first sent something.
	start int64
	// acked and ackedRemoved are set and removed as of when no response was pending.
	acked, ackedRemoved int64
	verdicts
	// usesFrom is the revision after which nothing may be removed that this type uses, because something was parked or rejected.
	usesFrom int64
	// sum is that of what a state-of-the-world client has been sent that subscribes to everything, but for what it rejected
	// when there was nothing else to send.
	sum uint64
	// kept are names of which such a client has something that it was not sent last, because it rejected that.
	kept map[string]struct{}
	// used are clusters that are gone, but for such a client that asks for them by name.
	used map[string]*Resource
	// stale are resources that a delta client had before the stream began, and that have to be removed.
	stale []string
	// waits is the revision at which a consumer began to wait for clusters, or 0.
	waits int64
}

type deltaWatch struct {
	sub     subscription
	respond func(*DeltaResponse, error)
	// asked are the names that the client asks for and has to be answered, whatever it has been sent before.
	asked []string
}

type stateWatch struct {
	req  *discoveryv3.DiscoveryRequest
	ch   chan xdscache.Response
	resp *stateResponse // to req
	size int            // of what req names
}

// Delta takes a request of the delta protocol, which is answered by a call of respond, now or when there is something to say. That
// happens in the order in which responses have to be sent, until the stream is closed, and under a lock: respond must neither block
// nor call the cache. Types that are not served are never answered. Instead of a response there may be an error, after which none comes:
// the stream is to end, be its client idle or not. What is in the request may be kept, and changed.
func (s *Stream) Delta(req *discoveryv3.DeltaDiscoveryRequest, respond func(*DeltaResponse, error)) {
	s.scope.mu.Lock()
	defer s.scope.unlock()
	w := s.watch(req.GetTypeUrl())
	if w == nil || s.ended {
		return
	}
	d := w.delta
	subscribe, unsubscribe := req.GetResourceNamesSubscribe(), req.GetResourceNamesUnsubscribe()
	for i, name := range subscribe {
		if e, ok := w.view.entry(name); ok {
			subscribe[i] = e.res.Name() // of which all streams keep one copy
		}
	}
	if d == nil {
		d = &deltaWatch{sub: newSubscription(w.kind.full, subscribe, unsubscribe, req.GetInitialResourceVersions()), respond: respond}
		w.delta = d
		if !w.view.publishes(req.GetInitialResourceVersions()) {
			s.scope.isKnown(s)
		}
	} else {
		d.sub.update(subscribe, unsubscribe)
	}
	asked := asked(req, &d.sub)
	if w.requested { // the last request has not been answered
		asked = append(d.asked, asked...)
		slices.Sort(asked)
		asked = slices.Compact(asked)
	}
	if s.size() > maxSubscribed {
		s.fail(w, ErrTooMany)
		return
	}
	s.hears(w, req.GetResponseNonce(), req.GetErrorDetail())
	d.asked = slices.DeleteFunc(asked, func(name string) bool { return !d.sub.knows(name) })
	s.request(w, &d.sub)
}

// fail tells a delta client of an error, for good.
func (s *Stream) fail(w *watch, err error) {
	s.ended = true
	w.delta.respond(nil, err)
}

// CreateWatch answers a request of the state-of-the-world protocol, now or when there is something to say. Types that are
// not served are never answered. An error ends the stream.
func (s *Stream) CreateWatch(req *discoveryv3.DiscoveryRequest, sub xdscache.Subscription, ch chan xdscache.Response) (func(), error) {
	s.scope.mu.Lock()
	defer s.scope.unlock()
	w := s.watch(req.GetTypeUrl())
	if w == nil {
		return nil, nil
	}
	if w.state != nil && w.state.resp != nil && !w.state.resp.sent {
		s.dropped(w)
	}
	s.hearsState(w, req)
	if !sub.IsWildcard() && len(sub.SubscribedResources()) == 0 {
		w.pending = nil // Envoy neither accepts nor rejects what it doesn't ask for any more
	}
	w.state = &stateWatch{req: req, ch: ch}
	for _, name := range req.GetResourceNames() {
		w.state.size += size(name)
	}
	if s.size() > maxSubscribed {
		return nil, ErrTooMany
	}
	return s.request(w, sub), nil
}

// Late takes the answer to a response after which another one of its type has been sent. go-control-plane ignores such requests, and
// calls CreateWatch for all others. So it has to be given every request before that, by OnStreamRequest, and leaves those others alone.
func (s *Stream) Late(req *discoveryv3.DiscoveryRequest) {
	s.scope.mu.Lock()
	defer s.scope.unlock()
	w := s.watch(req.GetTypeUrl())
	if w == nil || w.state == nil || !w.state.overtook(req.GetResponseNonce()) {
		return
	}
	s.hearsState(w, req)
	s.flush()
	s.scope.tellChanged()
}

// overtook reports whether the response to the request has been sent, and is another one than that with a nonce.
func (w *stateWatch) overtook(nonce string) bool {
	return w.resp != nil && w.resp.sent && w.resp.DiscoveryResponse.GetNonce() != nonce
}

// size returns what the client names, in bytes.
func (s *Stream) size() int {
	n := 0
	for _, w := range s.watches {
		switch {
		case w == nil:
		case w.delta != nil:
			n += w.delta.sub.size
		case w.state != nil:
			n += w.state.size
		}
	}
	return n
}

// Close ends the stream. The server must not be serving it any more.
func (s *Stream) Close() {
	s.scope.mu.Lock()
	delete(s.scope.streams, s)
	s.moved = nil
	if s.observes {
		s.scope.observers--
	}
	s.uncount()
	s.scope.unlock()
	s.cache.release(s.scope)
}

// watch returns the watch of a type, or nil if the type is not served.
func (s *Stream) watch(typeURL string) *watch {
	i := kindOf(typeURL)
	if i < 0 {
		return nil
	}
	if s.watches[i] == nil {
		s.watches[i] = &watch{kind: &kinds[i], view: &s.scope.views[i], fresh: true, usesFrom: math.MaxInt64}
	}
	return s.watches[i]
}

// request opens a watch and answers what can be answered. What other types hold back may depend on it, so all of the
// stream is looked at.
func (s *Stream) request(w *watch, sub xdscache.Subscription) (cancel func()) {
	if len(w.pending) == 0 {
		w.acked, w.ackedRemoved = w.set, w.removed
	}
	w.sub, w.open, w.requested = sub, true, true
	s.flush()
	s.scope.tellChanged()
	return func() {
		s.scope.mu.Lock()
		defer s.scope.mu.Unlock()
		w.open = false
	}
}

// flush answers the open watches, in the order that makes before it breaks.
func (s *Stream) flush() {
	if s.ended {
		return
	}
	defer s.count()
	for _, w := range s.watches {
		if w != nil && w.requested && w.delta != nil {
			w.forgets(w.delta.asked) // before anything is answered that this may use
		}
	}
	for _, consumer := range []bool{false, true, false} {
		for _, w := range s.watches {
			if w == nil || !w.open || w.kind.consumer != consumer {
				continue
			}
			if err := s.answer(w); err != nil {
				s.fail(w, err)
				return
			}
		}
	}
}

// answer sends the client what it lacks, if that is anything, and not for later. An error is for a delta client.
func (s *Stream) answer(w *watch) error {
	if w.fresh && !s.scope.exists() {
		return nil
	}
	if !w.fresh {
		s.holdsBack(w) // while it is known, be what it uses asked for or not
	}
	held := s.heldBack(w)
	if held < w.removed && !w.fresh {
		w.takeBack(held)
	}
	current := w.view.rev() <= w.removed
	if current && !w.requested && len(w.again)+len(w.stale) == 0 && !(w.kind == &kinds[endpoints] && len(s.rewarm) > 0) {
		return nil
	}
	if w.delta != nil && len(w.pending) >= maxPending {
		return nil // until the client has acknowledged something
	}
	if w.fresh {
		w.began, w.start = s.scope.rev, s.scope.rev
	}
	limit := max(min(held, s.unused(w)), w.removed)
	if w.fresh {
		limit = min(held, w.start)
	}
	if w.delta != nil {
		return s.answerDelta(w, limit)
	}
	s.answerState(w, limit)
	return nil
}

// unused returns the revision up to which nothing that was removed is used by what the client has, because what uses it has
// been changed or removed since, and the client has acknowledged that. What it rejected is not its concern.
func (s *Stream) unused(w *watch) int64 {
	limit := int64(math.MaxInt64)
	for _, c := range s.watches {
		if c == nil || !c.kind.consumer || !c.kind.uses(w.kind) {
			continue
		}
		if c.view.rev() > c.removed {
			limit = min(limit, c.removed)
		}
		if len(c.stale) > 0 {
			limit = 0
		}
		if len(c.pending) > 0 {
			limit = min(limit, c.ackedRemoved)
		}
	}
	return limit
}

// heldBack returns the revision after which the client may not be sent removals, because it has something older in place of
// something that is parked or that it rejected, which may use what was removed. What is forgotten is not held back.
func (s *Stream) heldBack(w *watch) int64 {
	limit := int64(math.MaxInt64)
	for i := range kinds {
		if !kinds[i].uses(w.kind) {
			continue
		}
		if user := s.watches[i]; user != nil && !user.fresh {
			limit = min(limit, s.holdsBack(user))
		} else {
			limit = min(limit, s.scope.views[i].mayUse())
		}
	}
	return max(limit, w.view.forgotten())
}

// holdsBack returns the revision after which nothing may be removed that the client may use because something was parked or
// rejected, until it has acknowledged what lifted that. A route table is used as long as its listener is there, even if it is removed.
func (s *Stream) holdsBack(w *watch) int64 {
	from, lacks := w.behind()
	l := s.watches[listeners]
	switch {
	case lacks:
		w.usesFrom = min(w.usesFrom, w.hasUntil(), from)
	case w.usesFrom != math.MaxInt64 && w.settled() && (!w.kind.consumer || l == nil || l.settled()):
		w.usesFrom = math.MaxInt64
	}
	return w.usesFrom
}

// settled reports whether the client has acknowledged all there is, removals included.
func (w *watch) settled() bool {
	return len(w.pending) == 0 && len(w.again) == 0 && w.view.rev() <= w.removed
}

// told returns the revision up to which the client has been sent all changes, even if the last response turns out to be dropped.
func (w *watch) told() int64 {
	if w.state == nil || w.state.resp == nil || w.state.resp.fresh {
		return w.removed
	}
	return min(w.removed, w.state.resp.removed)
}

// hasUntil returns a revision after which all that the client has was still published, or what it has been served instead.
func (w *watch) hasUntil() int64 {
	if len(w.pending) > 0 {
		return w.ackedRemoved
	}
	return w.removed
}

// takeBack has what was removed after a revision sent again, because what the client is served may use it after all.
func (w *watch) takeBack(held int64) {
	for name, e := range w.view.heldBack(held) {
		if e.rev <= w.removed && subscribed(w.sub, name) {
			w.resend([]string{name})
		}
	}
	w.removed = held
	w.acked = min(w.acked, held)
}

// mustWait reports whether a consumer, changed or asked for, has to wait for clusters: until no changed cluster is left to be
// sent, and until the client has acknowledged those that changed no later than the consumer began to wait, which Envoy does when
// they are warm. Clusters that changed later are not waited for, or a consumer could wait forever; nor are clusters that the client
// doesn't subscribe to, or rejected.
func (s *Stream) mustWait(w *watch) bool {
	c := s.watches[clusters]
	if !w.kind.consumer || c == nil || c.fresh {
		return false
	}
	if w.waits == 0 {
		w.waits = s.scope.rev
	}
	return c.view.rev() > c.set || len(c.pending) > 0 && c.acked < w.waits || s.heldBack(c) < c.removed
}

// caughtUp notes that the client has been sent all there is, but for removals after a limit.
func (s *Stream) caughtUp(w *watch, limit int64) {
	if w.kind == &kinds[endpoints] {
		clear(s.rewarm)
	}
	w.set = s.scope.rev
	w.removed = max(w.removed, min(s.scope.rev, limit))
	w.waits = 0
	if from, lacks := w.behind(); lacks {
		w.usesFrom = min(w.usesFrom, from)
	}
}

// looked notes that the request has been looked at.
func (w *watch) looked() {
	w.fresh, w.requested = false, false
	w.wildcard = w.sub.IsWildcard()
}

// rewarms notes that endpoints have to be sent again.
func (s *Stream) rewarms(names []string) {
	if s.rewarm == nil && len(names) > 0 {
		s.rewarm = map[string]struct{}{}
	}
	for _, name := range names {
		s.rewarm[name] = struct{}{}
	}
}

// dropped takes back a response that go-control-plane dropped because a request came before it was sent.
func (s *Stream) dropped(w *watch) {
	resp := w.state.resp
	s.rewarms(resp.rewarmed)
	w.resend(resp.again)
	w.set, w.removed, w.fresh, w.sum, w.kept, w.lacks = resp.set, resp.removed, resp.fresh, resp.sum, resp.kept, resp.lacks
	w.pending = w.pending[:len(w.pending)-1] // it was the last
}

// replaces notes the endpoints of clusters that are sent to a client that may have them already.
func (s *Stream) replaces(w *watch, set []*Resource) {
	if w.kind != &kinds[clusters] || s.watches[endpoints] == nil && !w.fresh {
		return
	}
	var names []string
	for _, r := range set {
		if r.endpoints != "" {
			names = append(names, r.endpoints)
		}
	}
	s.rewarms(names)
}

// rewarmed returns the endpoints that a watch has to send again: those that are subscribed to. A client that subscribes to
// others later is answered anyway.
func (s *Stream) rewarmed(w *watch) []string {
	if w.kind != &kinds[endpoints] {
		return nil
	}
	var out []string
	for name := range s.rewarm {
		if subscribed(w.sub, name) {
			out = append(out, name)
		}
	}
	return out
}

func subscribed(sub xdscache.Subscription, name string) bool {
	if sub.IsWildcard() {
		return true
	}
	_, ok := sub.SubscribedResources()[name]
	return ok
}
