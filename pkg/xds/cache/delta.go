package cache

import (
	"slices"
	"strconv"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	xdscache "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
)

// asked returns the names that have to be answered though the client may have been sent them: those that it subscribes to
// (it may have forgotten them, says the field resource_names_subscribe), except the ones that it says it has, and those
// that have an empty version, because they were unsubscribed from beside a wildcard.
func asked(req *discoveryv3.DeltaDiscoveryRequest, sub xdscache.Subscription) []string {
	var names []string
	for _, name := range req.GetResourceNamesSubscribe() {
		if _, has := req.GetInitialResourceVersions()[name]; name != "*" && !has && subscribed(sub, name) {
			names = append(names, name)
		}
	}
	for name, version := range sub.ReturnedResources() {
		if version == "" {
			names = append(names, name)
		}
	}
	return names
}

// answerDelta sends a delta client what it lacks.
func (s *Stream) answerDelta(w *watch, limit int64) error {
	var d *difference
	waits, reply := false, false
	held := s.heldBack(w)
	again := w.answersAgain()
	if (w.fresh || len(w.delta.asked) > 0 || !w.wildcard && w.sub.IsWildcard()) && s.mustWait(w) {
		return nil
	}
	switch {
	case w.fresh:
		d = w.withoutStale(s.lacking(w, held))
		// Envoy starts without clusters or listeners if it is told that there are none. What is stale waits for an
		// acknowledgement.
		reply = w.sub.IsWildcard() || len(w.stale) > 0
		s.replaces(w, known(d.set, w.sub))
	case !w.wildcard && w.sub.IsWildcard():
		changes, err := w.changes(limit, held)
		if err != nil {
			return err
		}
		w.began, w.holds = s.scope.rev, nil
		d = w.admit(&difference{set: w.view.everythingServed().set, removed: changes.removed})
		reply = true
	default:
		var err error
		if d, err = w.changes(limit, held); err != nil {
			return err
		}
		if waits = !(d.empty() && len(again) == 0) && s.mustWait(w); waits {
			d, again = &difference{}, nil
		}
		s.replaces(w, d.set)
	}
	var stale []string
	if !waits {
		w.again, stale = nil, s.removeStale(w)
	}
	d, repeated := w.repeat(d, again, held)
	s.replaces(w, repeated)
	d = w.with(d, slices.Concat(w.delta.asked, stale, s.rewarmed(w)), held)
	if reply || !d.empty() {
		s.respond(w, d)
	}
	w.looked()
	w.delta.sub.answered()
	w.delta.asked = nil
	if !waits {
		s.caughtUp(w, limit)
	}
	return nil
}

// respond answers a request.
func (s *Stream) respond(w *watch, d *difference) {
	s.nonces++
	resp := &DeltaResponse{typeURL: w.kind.typeURL, version: w.view.version(), nonce: strconv.FormatUint(s.nonces, 10), content: d}
	w.awaits(pending{delta: resp, content: d, version: resp.version, at: s.scope.rev})
	w.delta.respond(resp, nil)
}

// changes returns what changed of the subscription since the client was last sent something.
func (w *watch) changes(limit, held int64) (*difference, error) {
	if w.removed >= w.view.rev() {
		return &difference{}, nil
	}
	d := w.view.since(span{set: w.set, removed: w.removed, limit: limit})
	for _, r := range d.parked {
		if subscribed(w.sub, r.Name()) {
			w.lack(r)
		}
	}
	forgotten := w.removed < w.view.forgotten()
	if w.sub.IsWildcard() {
		if forgotten {
			return nil, ErrBehind
		}
		return w.admit(d), nil
	}
	out := &difference{}
	for _, r := range d.set {
		if subscribed(w.sub, r.Name()) {
			out.set = append(out.set, r)
		}
	}
	if forgotten { // any of them may have been removed, or show what is under it since
		for name := range w.sub.SubscribedResources() {
			if r := w.at(name, held); r == nil {
				out.removed = append(out.removed, name)
			} else if w.view.base != nil && !slices.Contains(out.set, r) {
				out.set = append(out.set, r)
			}
		}
		return w.admit(out), nil
	}
	for _, name := range d.removed {
		if subscribed(w.sub, name) {
			out.removed = append(out.removed, name)
		}
	}
	return w.admit(out), nil
}

// lacking compares a new subscription with the versions that its client says it has (initial_resource_versions), which it
// has acknowledged at some time. What was removed after a limit is still there for it.
func (s *Stream) lacking(w *watch, limit int64) *difference {
	has, names := w.sub.ReturnedResources(), w.sub.SubscribedResources()
	held := w.view.heldBack(limit)
	if w.sub.IsWildcard() && len(has) == 0 && len(names) == 0 && len(held) == 0 {
		return w.view.everythingServed()
	}
	d := &difference{}
	if w.sub.IsWildcard() {
		for _, r := range w.view.everything().set {
			s.compare(w, d, r.Name())
		}
		for name := range held {
			s.compare(w, d, name)
		}
		for name := range has {
			if e, ok := w.view.entry(name); !ok || e.removed && e.rev <= limit {
				d.removed = append(d.removed, name)
			}
		}
	}
	for name := range names {
		_, told := has[name]
		e, ok := w.view.entry(name)
		switch {
		case w.sub.IsWildcard():
			if w.at(name, limit) == nil && !told {
				d.removed = append(d.removed, name)
			}
		case !ok || e.removed && e.rev <= limit:
			d.removed = append(d.removed, name)
		case !s.compare(w, d, name) && !told:
			d.removed = append(d.removed, name)
		}
	}
	slices.Sort(d.removed)
	return d
}

// withoutStale leaves out of the first answer to a client the removal of what it says it has, and notes that, but for listeners:
// what else it has, for which it has not asked yet, may use it.
func (w *watch) withoutStale(d *difference) *difference {
	has := w.sub.ReturnedResources()
	if w.kind == &kinds[listeners] || len(has) == 0 || len(d.removed) == 0 {
		return d
	}
	out := &difference{set: d.set}
	for _, name := range d.removed {
		if _, ok := has[name]; ok {
			w.stale = append(w.stale, name)
		} else {
			out.removed = append(out.removed, name)
		}
	}
	return out
}

// removeStale returns what was stale, once the client has acknowledged its first response, and what may use it: a client that
// reconnects subscribes to all types before it acknowledges any.
func (s *Stream) removeStale(w *watch) []string {
	if len(w.stale) == 0 || len(w.pending) > 0 || w.fresh || min(s.unused(w), s.heldBack(w)) < max(w.start, 1) {
		return nil
	}
	stale := slices.DeleteFunc(w.stale, func(name string) bool {
		e, ok := w.view.entry(name) // that is newer is told like others
		return ok && e.rev > w.start || !subscribed(w.sub, name)
	})
	w.stale, w.ackedRemoved = nil, 0
	return stale
}

// known returns the resources of which the client of a new subscription says that it has some version.
func known(set []*Resource, sub xdscache.Subscription) []*Resource {
	has := sub.ReturnedResources()
	if len(has) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(set), func(r *Resource) bool {
		_, ok := has[r.Name()]
		return !ok
	})
}

// answersAgain returns the names that have to be answered once more.
func (w *watch) answersAgain() []string {
	var out []string
	for name := range w.again {
		if !w.fresh && subscribed(w.sub, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// compare adds to the first answer what the client lacks of a resource, and reports whether it is served any version.
func (s *Stream) compare(w *watch, d *difference, name string) bool {
	e, _ := w.view.entry(name)
	version, told := w.sub.ReturnedResources()[name]
	if told && version == e.res.Version() {
		if e.withheld() {
			w.hold(e.res)
		}
		if !e.removed && !s.observes {
			s.scope.acknowledge(e.res, s.scope.rev)
		}
		return true
	}
	r := w.see(name, e)
	if r == nil && told {
		w.usesFrom = 0 // it keeps what it has, of which nothing is known, so it may use all that is stale
	}
	if r != nil && version != r.Version() {
		d.set = append(d.set, r)
	}
	return r != nil
}

// repeat returns a difference that has those of some resources in it that are served, and which of them it had not.
func (w *watch) repeat(d *difference, names []string, limit int64) (all *difference, repeated []*Resource) {
	for _, name := range names {
		if r := w.at(name, limit); r != nil && !slices.Contains(d.set, r) {
			repeated = append(repeated, r)
		}
	}
	if len(repeated) == 0 {
		return d, nil
	}
	return &difference{set: slices.Concat(d.set, repeated), removed: d.removed}, repeated
}

// with returns a difference that has an answer to each of some names in it: the resource, or that it is removed.
func (w *watch) with(d *difference, asked []string, limit int64) *difference {
	if len(asked) == 0 {
		return d
	}
	in := map[string]struct{}{}
	for _, r := range d.set {
		in[r.Name()] = struct{}{}
	}
	for _, name := range d.removed {
		in[name] = struct{}{}
	}
	out := &difference{set: slices.Clip(d.set), removed: slices.Clip(d.removed)}
	for _, name := range asked {
		if _, ok := in[name]; ok {
			continue
		}
		in[name] = struct{}{}
		if r := w.at(name, limit); r != nil {
			out.set = append(out.set, r)
		} else {
			out.removed = append(out.removed, name)
		}
	}
	return out
}

// forgets notes that the client may not have resources for which it asks.
func (w *watch) forgets(names []string) {
	for _, name := range names {
		if e, _ := w.view.entry(name); e.withheld() && !e.removed && !w.fresh {
			w.lack(e.res)
		}
	}
}
