package engine

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/translate"
)

// rejectionPause is how long what nodes reject is gathered after a change of it before the next one is taken in, unless nothing is
// rejected any more: the statuses of all that is to blame are written for each.
const rejectionPause = 2 * time.Second

// Rejection says that nodes have rejected a version of a resource. It counts while that version is what is published: then the
// objects that it was made of say so in their status.
type Rejection struct {
	// Scope is that of the xDS cache, and TypeURL and Name are the resource in it.
	Scope, TypeURL, Name string
	// Version is the one that was rejected.
	Version string
	// Message is why, as a node has said it.
	Message string
	// Nodes is how many have rejected it, over all replicas, or how many of them have been counted if there are More.
	Nodes int
	More  bool
	// Good is the encoding of what nodes are served instead; nil if that is nothing.
	Good []byte
}

// SetRejections replaces all that is known of rejections. It returns at once, and may be called at any time, also before Run.
// Nobody may write to what it was given any more.
func (e *Engine) SetRejections(all []Rejection) {
	e.inbox.put(func(m *mail) { m.rejections, m.rejected = all, true })
}

// readMail takes the news.
func (e *Engine) readMail() {
	m := e.inbox.empty()
	for scope, reports := range m.deliveries {
		e.setDeliveries(scope, reports)
	}
	if m.rejected {
		e.setRejections(m.rejections)
	}
}

// published follows that scopes have been published, and returns the statuses that aren't what is stored any more: of Gateways
// whose nodes have still to get it, and of what was rejected before.
func (e *Engine) published(scopes []string) (stale []graph.Key) {
	for _, scope := range scopes {
		stale = append(stale, e.delivered(scope)...)
		if e.verdicts[scope] != nil {
			stale = append(stale, e.judge(scope)...)
		}
	}
	return stale
}

// rejection is a Rejection and what the engine makes of it.
type rejection struct {
	Rejection
	// counts says that the version is published. Then parts is whose fault the rejection is as far as the resource says so, and origins
	// are these and the routes of the streams among them.
	counts         bool
	parts, origins []translate.Origin
}

// verdicts are the rejections of a scope, and the objects whose statuses they may be in.
type verdicts struct {
	rejections []*rejection // sorted by resource and version
	concerned  map[graph.Key]struct{}
	// heard is what the rejections are to become, taken when they were last others, and waiting that there is a timer for it.
	heard   []Rejection
	taken   time.Time
	waiting bool
}

// setRejections takes what is known of rejections in place of what was.
func (e *Engine) setRejections(all []Rejection) {
	byScope := map[string][]Rejection{}
	for _, r := range all {
		byScope[r.Scope] = append(byScope[r.Scope], r)
	}
	for scope := range e.verdicts {
		if len(byScope[scope]) == 0 {
			byScope[scope] = nil
		}
	}
	for scope, heard := range byScope {
		v := e.verdicts[scope]
		if v == nil {
			v = &verdicts{}
			e.verdicts[scope] = v
		}
		v.heard = heard
		e.takeRejections(scope, v)
	}
}

// takeRejections takes in what was heard of a scope, or has that done later.
func (e *Engine) takeRejections(scope string, v *verdicts) {
	if e.verdicts[scope] != v {
		return // of which nothing was rejected any more
	}
	if pause := time.Until(v.taken.Add(rejectionPause)); pause > 0 && len(v.heard) > 0 {
		if v.waiting {
			return
		}
		v.waiting = true
		time.AfterFunc(pause, func() {
			e.post(func() {
				v.waiting = false
				e.takeRejections(scope, v)
			})
		})
		return
	}
	if v.replace(v.heard) {
		v.taken = time.Now()
		e.found(e.judge(scope))
	}
	if len(v.rejections) == 0 {
		delete(e.verdicts, scope)
	}
}

// byResource orders rejections by resource and version, of which each has one.
func byResource(a, b *Rejection) int {
	return cmp.Or(cmp.Compare(a.TypeURL, b.TypeURL), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
}

// replace puts rejections in place of those that there were, and says whether they are others.
func (v *verdicts) replace(rejections []Rejection) bool {
	slices.SortFunc(rejections, func(a, b Rejection) int { return byResource(&a, &b) })
	next, same := make([]*rejection, 0, len(rejections)), len(rejections) == len(v.rejections)
	for i, r := range rejections {
		known := &rejection{Rejection: r}
		at, ok := slices.BinarySearchFunc(v.rejections, &r, func(a *rejection, b *Rejection) int { return byResource(&a.Rejection, b) })
		if ok {
			old := v.rejections[at]
			// Who is to blame depends on both. What was found with less than there is now must not stay: another replica, or
			// this one after a restart, would find something else.
			if old.Message == r.Message && bytes.Equal(old.Good, r.Good) {
				known.counts, known.parts, known.origins = old.counts, old.parts, old.origins
			} else {
				same = false
			}
			same = same && at == i && old.Nodes == r.Nodes && old.More == r.More
		}
		same = same && ok
		next = append(next, known)
	}
	v.rejections = next
	return !same
}

// judge finds which of the rejections of a scope count now, and returns the statuses that aren't what is stored any more.
func (e *Engine) judge(scope string) []graph.Key {
	v := e.verdicts[scope]
	streamRoutes := sync.OnceValue(func() map[translate.Origin]translate.Origin { return e.streamRoutes(scope) })
	for _, r := range v.rejections {
		published := e.publisher.xds.Resource(scope, cache.Name{TypeURL: r.TypeURL, Name: r.Name})
		switch counts := published != nil && published.Version() == r.Version; {
		case counts && !r.counts:
			r.counts, r.parts = true, translate.Blame(r.TypeURL, published.Any().GetValue(), r.Good, r.Message)
		case !counts && r.counts:
			r.counts, r.parts = false, nil
		}
		// Also if it has counted before: what is published stays the same when a route takes the place of one that is like it.
		r.origins = withRoutes(r.parts, streamRoutes)
	}
	before := v.concerned
	v.concerned = e.concerned(scope, v.rejections)
	look := maps.Clone(v.concerned)
	if look == nil {
		look = before
	} else {
		maps.Copy(look, before)
	}
	return e.stale(graph.Dirty{Statuses: look})
}

// withRoutes returns origins and the routes of those of them that are streams.
func withRoutes(origins []translate.Origin, streamRoutes func() map[translate.Origin]translate.Origin) []translate.Origin {
	all := slices.Clone(origins)
	for _, o := range origins {
		if o.Domain == "" {
			continue
		}
		if route, ok := streamRoutes()[o]; ok {
			all = append(all, route)
		}
	}
	return all
}

// streamRoutes returns the routes that streams of a scope follow, both as origins.
func (e *Engine) streamRoutes(scope string) map[translate.Origin]translate.Origin {
	key, ok := scopeKey(scope)
	if !ok {
		return nil
	}
	facts := e.graph.Scope(key)
	if facts == nil {
		return nil
	}
	routes := map[translate.Origin]translate.Origin{}
	for _, s := range facts.Streams {
		if len(s.Routes) > 0 {
			key := s.Routes[0].Key
			routes[translate.StreamOrigin(s.Key)] = translate.Origin{Kind: key.Kind, Namespace: key.Namespace, Name: key.Name}
		}
	}
	return routes
}

// concerned returns the objects that may have to say something about rejections: those that are to blame, all Gateways and
// ListenerSets of the scope, and the routes to a backend that is to blame.
func (e *Engine) concerned(scope string, rejections []*rejection) map[graph.Key]struct{} {
	keys := map[graph.Key]struct{}{}
	for _, r := range rejections {
		for _, o := range r.origins {
			key := originKey(o)
			keys[key] = struct{}{}
			if isBackend(key) {
				for _, route := range e.graph.RoutesTo(key) {
					keys[route] = struct{}{}
				}
			}
		}
	}
	if len(keys) == 0 {
		return nil
	}
	for _, gateway := range e.gatewaysOf(scope) {
		keys[gateway] = struct{}{}
		for _, set := range e.graph.ListenerSetsOf(gateway.NamespacedName()) {
			keys[set] = struct{}{}
		}
	}
	return keys
}

// gatewaysOf returns the Gateways of a scope of the cache, in no order.
func (e *Engine) gatewaysOf(scope string) []graph.Key {
	of, ok := scopeKey(scope)
	if !ok {
		return nil
	}
	var gateways []graph.Key
	for _, name := range e.graph.GatewaysOf(of) {
		gateways = append(gateways, graph.Key{Kind: graph.KindGateway, Namespace: name.Namespace, Name: name.Name})
	}
	return gateways
}

// scopeKey is the reverse of scopeName; false for scopes of the mesh.
func scopeKey(scope string) (graph.Key, bool) {
	key := graph.Key{Kind: graph.KindGateway}
	kind, object := nodes.ParseScope(scope)
	switch kind {
	case nodes.OfGateway:
	case nodes.OfFleet:
		key.Kind = graph.KindEnvoyFleet
	default:
		return key, false
	}
	key.Namespace, key.Name, _ = strings.Cut(object, "/")
	return key, true
}

func originKey(o translate.Origin) graph.Key {
	return graph.Key{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
}

func isBackend(key graph.Key) bool {
	return key.Kind == graph.KindService || key.Kind == graph.KindBackend
}
