package engine

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/translate"
)

// Rejection says that nodes have rejected a version of a resource. It counts while that version is what is published: then the
// objects that it was made of say so in their status.
type Rejection struct {
	// Scope is that of the xDS cache, and TypeURL and Name are the resource in it.
	Scope, TypeURL, Name string
	// Version is the one that was rejected.
	Version string
	// Message is why, as a node has said it.
	Message string
	// Nodes is how many have rejected it, over all replicas.
	Nodes int
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
	// counts says that the version is published, and origins is then whose fault the rejection is.
	counts  bool
	origins []translate.Origin
}

// verdicts are the rejections of a scope, and the objects whose statuses they may be in.
type verdicts struct {
	rejections []*rejection // sorted by resource and version
	concerned  map[graph.Key]struct{}
}

// setRejections takes what is known of rejections in place of what was.
func (e *Engine) setRejections(all []Rejection) {
	byScope := map[string][]Rejection{}
	for _, r := range all {
		byScope[r.Scope] = append(byScope[r.Scope], r)
	}
	var stale []graph.Key
	for scope := range e.verdicts {
		if len(byScope[scope]) == 0 {
			byScope[scope] = nil
		}
	}
	for scope, rejections := range byScope {
		v := e.verdicts[scope]
		if v == nil {
			v = &verdicts{}
			e.verdicts[scope] = v
		}
		if v.replace(rejections) {
			stale = append(stale, e.judge(scope)...)
		}
		if len(v.rejections) == 0 {
			delete(e.verdicts, scope)
		}
	}
	e.found(stale)
}

// replace puts rejections in place of those that there were, and says whether they are others.
func (v *verdicts) replace(rejections []Rejection) bool {
	slices.SortFunc(rejections, func(a, b Rejection) int {
		return cmp.Or(cmp.Compare(a.TypeURL, b.TypeURL), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	next, same := make([]*rejection, 0, len(rejections)), len(rejections) == len(v.rejections)
	for i, r := range rejections {
		known := &rejection{Rejection: r}
		at, ok := slices.BinarySearchFunc(v.rejections, r, func(a *rejection, b Rejection) int {
			return cmp.Or(cmp.Compare(a.TypeURL, b.TypeURL), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
		})
		if ok {
			old := v.rejections[at]
			known.counts, known.origins = old.counts, old.origins
			same = same && at == i && old.Nodes == r.Nodes && old.Message == r.Message
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
	for _, r := range v.rejections {
		published := e.publisher.xds.Resource(scope, cache.Name{TypeURL: r.TypeURL, Name: r.Name})
		switch counts := published != nil && published.Version() == r.Version; {
		case counts && !r.counts:
			r.counts, r.origins = true, translate.Blame(r.TypeURL, published.Any().GetValue(), r.Good, r.Message)
		case !counts && r.counts:
			r.counts, r.origins = false, nil
		}
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
	key, ok := scopeKey(scope)
	if !ok {
		return nil
	}
	var gateways []graph.Key
	for _, name := range e.graph.GatewaysOf(key) {
		gateways = append(gateways, graph.Key{Kind: graph.KindGateway, Namespace: name.Namespace, Name: name.Name})
	}
	return gateways
}

func originKey(o translate.Origin) graph.Key {
	return graph.Key{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name}
}

func isBackend(key graph.Key) bool {
	return key.Kind == graph.KindService || key.Kind == graph.KindBackend
}

// rejected returns the first rejection in the scopes for which one of those to blame is selected; nil if there is none.
func (e *Engine) rejected(scopes []string, selected func(translate.Origin) bool) *graph.RejectionFacts {
	for _, scope := range scopes {
		v := e.verdicts[scope]
		if v == nil {
			continue
		}
		for _, r := range v.rejections {
			if slices.ContainsFunc(r.origins, selected) {
				return &graph.RejectionFacts{Nodes: r.Nodes, Of: e.nodesOf(scope), Message: r.Message}
			}
		}
	}
	return nil
}

// withVerdicts returns facts with what nodes say of what was made of the object. The graph's own are not written to.
func (e *Engine) withVerdicts(facts any) any {
	if len(e.verdicts)+len(e.deliveries) == 0 {
		return facts
	}
	switch f := facts.(type) {
	case *graph.GatewayFacts:
		return e.judgedGateway(f)
	case *graph.ListenerSetFacts:
		return e.judgedListenerSet(f)
	case *graph.RouteFacts:
		return e.judgedRoute(f)
	case *graph.BackendTLSPolicyFacts:
		c := *f
		c.Ancestors = e.judgedAncestors(graph.KindBackendTLSPolicy, nameOf(f.Object), f.Ancestors)
		return &c
	case *graph.BackendTrafficPolicyFacts:
		c := *f
		c.Ancestors = e.judgedAncestors(graph.KindBackendTrafficPolicy, nameOf(f.Object), f.Ancestors)
		return &c
	case *graph.XBackendFacts:
		return e.judgedBackend(f)
	}
	return facts
}

// judgedGateway: a Gateway and a listener of it are not programmed if nodes reject an Envoy listener, or a secret, of theirs.
func (e *Engine) judgedGateway(f *graph.GatewayFacts) *graph.GatewayFacts {
	c := *f
	scope := scopeName(f.Scope)
	c.Delivery = e.deliveryOf(scope)
	if e.verdicts[scope] == nil {
		return &c
	}
	self := graph.Key{Kind: graph.KindGateway, Namespace: f.Object.Namespace, Name: f.Object.Name}
	c.Rejected = e.rejected([]string{scope}, func(o translate.Origin) bool {
		key := originKey(o)
		return o.Port == 0 && (key == self || key == f.Scope) ||
			key.Kind == graph.KindSecret && key.NamespacedName() == f.ClientCertificateSecret()
	})
	c.Listeners = e.judgedListeners(f.Scope, f.Listeners)
	for _, l := range c.Listeners {
		if c.Rejected == nil && l.Key.Parent == self {
			c.Rejected = l.Rejected
		}
	}
	return &c
}

func (e *Engine) judgedListenerSet(f *graph.ListenerSetFacts) *graph.ListenerSetFacts {
	scope, ok := e.graph.ScopeOf(f.Gateway)
	if !ok || e.verdicts[scopeName(scope)] == nil {
		return f
	}
	c := *f
	self := graph.Key{Kind: graph.KindListenerSet, Namespace: f.Object.Namespace, Name: f.Object.Name}
	c.Rejected = e.rejected([]string{scopeName(scope)}, func(o translate.Origin) bool { return originKey(o) == self })
	c.Listeners = e.judgedListeners(scope, f.Listeners)
	for _, l := range c.Listeners {
		if c.Rejected == nil {
			c.Rejected = l.Rejected
		}
	}
	return &c
}

// judgedListeners: a listener is rejected if it is to blame by name, by its port, which is one Envoy listener for all of a scope, or
// by a certificate of it.
func (e *Engine) judgedListeners(scope graph.Key, listeners []*graph.ListenerFacts) []*graph.ListenerFacts {
	judged := slices.Clone(listeners)
	for i, l := range listeners {
		if l.Unprogrammed != nil {
			continue
		}
		rejected := e.rejected([]string{scopeName(scope)}, func(o translate.Origin) bool {
			switch key := originKey(o); {
			case o.Listener != "":
				return key == l.Key.Parent && o.Listener == string(l.Key.Name)
			case o.Port != 0:
				return key == scope && o.Port == int32(l.Spec.Port)
			case key.Kind == graph.KindSecret:
				return slices.ContainsFunc(l.Certificates, func(c graph.CertificateFacts) bool { return c.Secret == key.NamespacedName() })
			}
			return false
		})
		if rejected != nil {
			c := *l
			c.Rejected = rejected
			judged[i] = &c
		}
	}
	return judged
}

// judgedRoute: the configuration of a route is rejected, for the parents whose nodes do so, if the route is to blame or a
// backend that it forwards to, which may have no status.
func (e *Engine) judgedRoute(f *graph.RouteFacts) *graph.RouteFacts {
	if len(e.verdicts) == 0 {
		return f
	}
	c := *f
	c.Parents = slices.Clone(f.Parents)
	for i := range c.Parents {
		p := &c.Parents[i]
		if !p.Managed || p.Unaccepted != nil {
			continue
		}
		p.Rejected = e.rejected(e.scopesOfParent(p), func(o translate.Origin) bool {
			key := originKey(o)
			return key == f.Key || isBackend(key) && (f.ForwardsTo(key) || p.Service != nil && *p.Service == key.NamespacedName())
		})
	}
	return &c
}

// scopesOfParent returns the scopes whose nodes serve what is attached to a parent, sorted.
func (e *Engine) scopesOfParent(p *graph.ParentFacts) []string {
	if p.Service != nil {
		return e.meshScopes()
	}
	var scopes []string
	for _, a := range p.Attachments {
		if scope, ok := e.graph.ScopeOf(a.Gateway); ok {
			scopes = append(scopes, scopeName(scope))
		}
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// meshScopes returns the scopes of the mesh in which something is rejected, sorted.
func (e *Engine) meshScopes() []string {
	var scopes []string
	for scope := range e.verdicts {
		if slices.ContainsFunc(nodes.Bases(), func(base string) bool { return scope == base || strings.HasPrefix(scope, base+"/") }) {
			scopes = append(scopes, scope)
		}
	}
	slices.Sort(scopes)
	return scopes
}

// judgedAncestors: what is made of a policy is rejected for the Gateways whose nodes do so, and for a target that no Gateway
// forwards to, by the nodes of the mesh.
func (e *Engine) judgedAncestors(kind graph.Kind, policy types.NamespacedName, ancestors []graph.PolicyAncestorFacts) []graph.PolicyAncestorFacts {
	self := graph.Key{Kind: kind, Namespace: policy.Namespace, Name: policy.Name}
	judged := slices.Clone(ancestors)
	for i := range judged {
		a := &judged[i]
		scopes := e.scopesOfAncestor(a.Ref)
		a.Rejected = e.rejected(scopes, func(o translate.Origin) bool { return originKey(o) == self })
	}
	return judged
}

func (e *Engine) scopesOfAncestor(ref gwv1.ParentReference) []string {
	if *ref.Kind != gwv1.Kind(graph.KindGateway) {
		return e.meshScopes()
	}
	scope, ok := e.graph.ScopeOf(ancestorName(ref))
	if !ok {
		return nil
	}
	return []string{scopeName(scope)}
}

func ancestorName(ref gwv1.ParentReference) types.NamespacedName {
	return types.NamespacedName{Namespace: string(*ref.Namespace), Name: string(ref.Name)}
}

func (e *Engine) judgedBackend(f *graph.XBackendFacts) *graph.XBackendFacts {
	c := *f
	self := graph.Key{Kind: graph.KindBackend, Namespace: f.Object.Namespace, Name: f.Object.Name}
	for _, ref := range f.Ancestors {
		rejected := e.rejected(e.scopesOfAncestor(ref), func(o translate.Origin) bool { return originKey(o) == self })
		if rejected == nil {
			continue
		}
		if c.Rejected == nil {
			c.Rejected = map[types.NamespacedName]*graph.RejectionFacts{}
		}
		c.Rejected[ancestorName(ref)] = rejected
	}
	return &c
}
