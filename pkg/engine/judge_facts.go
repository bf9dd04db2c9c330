package engine

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/translate"
)

// rejected returns the first rejection in the scopes for which one of those to blame is selected; nil if there is none.
func (e *Engine) rejected(scopes []string, selected func(translate.Origin) bool) *graph.RejectionFacts {
	for _, scope := range scopes {
		v := e.verdicts[scope]
		if v == nil {
			continue
		}
		for _, r := range v.rejections {
			if slices.ContainsFunc(r.origins, selected) {
				return &graph.RejectionFacts{Nodes: r.Nodes, More: r.More, Message: r.Message}
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
	self := graph.Key{Kind: graph.KindGateway, Namespace: f.Object.Namespace, Name: f.Object.Name}
	c.Delivery = e.deliveryOf(self, scope)
	if e.verdicts[scope] == nil {
		return &c
	}
	c.Rejected = e.rejected([]string{scope}, func(o translate.Origin) bool {
		key := originKey(o)
		return o.Port == 0 && (key == self || key == f.Scope) ||
			key.Kind == graph.KindSecret && key.NamespacedName() == f.ClientCertificateSecret()
	})
	c.Listeners = e.judgedListeners(f.Scope, self, f.Listeners)
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
	gateway := graph.Key{Kind: graph.KindGateway, Namespace: f.Gateway.Namespace, Name: f.Gateway.Name}
	c.Listeners = e.judgedListeners(scope, gateway, f.Listeners)
	for _, l := range c.Listeners {
		if c.Rejected == nil {
			c.Rejected = l.Rejected
		}
	}
	return &c
}

// judgedListeners: a listener of a Gateway, by a ListenerSet or not, is rejected if it is to blame by name, by a certificate of it, or by
// its port: that is one Envoy listener for all of a scope, and one set of CAs for each Gateway of it.
func (e *Engine) judgedListeners(scope, gateway graph.Key, listeners []*graph.ListenerFacts) []*graph.ListenerFacts {
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
				return (key == scope || key == gateway) && o.Port == int32(l.Spec.Port)
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
		switch kind, _ := nodes.ParseScope(scope); kind {
		case nodes.OfMesh, nodes.OfProxyless, nodes.OfSidecars:
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
