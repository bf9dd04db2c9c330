package cache

import (
	"slices"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	xdscache "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
)

// asked returns the names that have to be answered though the client may have been sent them: those that it subscribes to
// (it may have forgotten them, says the field resource_names_subscribe), except the ones that it says it has, and those
// that go-control-plane marks with an empty version, because they were unsubscribed from beside a wildcard.
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
	switch {
	case w.fresh:
		d = w.withoutStale(w.view.lacking(w.sub))
		// Envoy starts without clusters or listeners if it is told that there are none. What is stale waits for an
		// acknowledgement.
		reply = w.sub.IsWildcard() || len(w.stale) > 0
		s.replaces(w, known(d.set, w.sub))
	case !w.wildcard && w.sub.IsWildcard():
		changes, err := w.changes(limit)
		if err != nil {
			return err
		}
		all := w.view.everything()
		d = &difference{set: all.set, msgs: all.msgs, removed: changes.removed}
		reply = true
	default:
		var err error
		if d, err = w.changes(limit); err != nil {
			return err
		}
		if waits = !d.empty() && s.mustWait(w); waits {
			d = &difference{}
		}
		s.replaces(w, d.set)
	}
	d = w.view.with(d, slices.Concat(w.delta.asked, w.removeStale(), s.rewarmed(w)))
	if (reply || !d.empty()) && !w.sendDelta(d) {
		return nil
	}
	w.looked()
	if !waits {
		s.caughtUp(w, limit)
	}
	return nil
}

// sendDelta reports whether there was room for the response. There always is: go-control-plane makes room for two
// responses of each type.
func (w *watch) sendDelta(d *difference) bool {
	resp := &xdscache.DeltaPassthroughResponse{
		DeltaRequest: w.delta.req,
		// What the client has is known from the revision; go-control-plane writes to this map.
		NextVersionMap: map[string]string{},
		DeltaDiscoveryResponse: &discoveryv3.DeltaDiscoveryResponse{
			TypeUrl:           w.kind.typeURL,
			SystemVersionInfo: w.view.version(),
			Resources:         d.msgs,
			RemovedResources:  d.removed,
		},
	}
	select {
	case w.delta.ch <- resp:
		w.answered()
		return true
	default:
		return false
	}
}

// changes returns what changed of the subscription since the client was last sent something.
func (w *watch) changes(limit int64) (*difference, error) {
	if w.removed >= w.view.rev() {
		return &difference{}, nil
	}
	d := w.view.since(span{set: w.set, removed: w.removed, limit: limit})
	forgotten := w.removed < w.view.forgotten()
	if w.sub.IsWildcard() {
		if forgotten {
			return nil, ErrBehind
		}
		return d, nil
	}
	out := &difference{}
	for _, r := range d.set {
		if subscribed(w.sub, r.Name()) {
			out.set = append(out.set, r)
		}
	}
	out.msgs = messages(out.set)
	if forgotten { // any of them may have been removed, or show what is under it since
		for name := range w.sub.SubscribedResources() {
			if r := w.view.get(name); r == nil {
				out.removed = append(out.removed, name)
			} else if w.view.base != nil && !slices.Contains(out.set, r) {
				out.set = append(out.set, r)
			}
		}
		out.msgs = messages(out.set)
		return out, nil
	}
	for _, name := range d.removed {
		if subscribed(w.sub, name) {
			out.removed = append(out.removed, name)
		}
	}
	return out, nil
}

// lacking compares a new subscription with the versions that its client says it has (initial_resource_versions).
func (v *view) lacking(sub xdscache.Subscription) *difference {
	has, names := sub.ReturnedResources(), sub.SubscribedResources()
	if sub.IsWildcard() && len(has) == 0 && len(names) == 0 {
		return v.everything()
	}
	d := &difference{}
	if sub.IsWildcard() {
		for _, r := range v.everything().set {
			if has[r.Name()] != r.Version() {
				d.set = append(d.set, r)
			}
		}
		for name := range has {
			if v.get(name) == nil {
				d.removed = append(d.removed, name)
			}
		}
	}
	for name := range names {
		r := v.get(name)
		version, told := has[name]
		switch {
		case r == nil && !(told && sub.IsWildcard()):
			d.removed = append(d.removed, name)
		case r != nil && !sub.IsWildcard() && version != r.Version():
			d.set = append(d.set, r)
		}
	}
	slices.Sort(d.removed)
	d.msgs = messages(d.set)
	return d
}

// withoutStale leaves out of the first answer to a client the removal of clusters and what belongs to them that it says it
// has, and notes them: its listeners and routes, for which it has not asked yet, may use them.
func (w *watch) withoutStale(d *difference) *difference {
	has := w.sub.ReturnedResources()
	if w.kind.consumer || len(has) == 0 || len(d.removed) == 0 {
		return d
	}
	out := *d
	out.removed = nil
	for _, name := range d.removed {
		if _, ok := has[name]; ok {
			w.stale = append(w.stale, name)
		} else {
			out.removed = append(out.removed, name)
		}
	}
	return &out
}

// removeStale returns what was stale, once the client has acknowledged its first response: a client that reconnects
// subscribes to all types before it acknowledges any.
func (w *watch) removeStale() []string {
	if w.unacked > 0 || w.fresh {
		return nil
	}
	stale := slices.DeleteFunc(w.stale, func(name string) bool { return w.view.get(name) != nil || !subscribed(w.sub, name) })
	w.stale = nil
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

// with returns a difference that has an answer to each of some names in it: the resource, or that it is removed.
func (v *view) with(d *difference, asked []string) *difference {
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
		if r := v.get(name); r != nil {
			out.set = append(out.set, r)
		} else {
			out.removed = append(out.removed, name)
		}
	}
	out.msgs = messages(out.set)
	return out
}
