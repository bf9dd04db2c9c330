package graph

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

type gatewayNode struct {
	facts  *GatewayFacts // AttachedRoutes is filled in when asked for
	served []servedListener
	hosts  map[VirtualHostKey]bool // those that there are without any route; true if requests for it are misdirected
	needs  []Key                   // sorted
}

// Gateway returns what is true of the Gateway, or nil if there is no such Gateway.
func (g *Graph) Gateway(name types.NamespacedName) *GatewayFacts {
	node := g.gateways[name]
	if node == nil {
		return nil
	}
	return g.withAttachedRoutes(node.facts)
}

// Gateways returns the names of the Gateways that are managed, sorted.
func (g *Graph) Gateways() []types.NamespacedName {
	var names []types.NamespacedName
	for name, node := range g.gateways {
		if node.facts.Managed {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, compareNames)
	return names
}

// PreviewGateway returns what would be true of gw if it were written now. Nothing changes.
func (g *Graph) PreviewGateway(gw *gwv1.Gateway) *GatewayFacts {
	facts := g.evalGateway(gw)
	if !facts.Managed {
		return facts
	}
	name := namespacedName(gw)
	if node := g.gateways[name]; node != nil && sameForRoutes(node.facts, facts) {
		return g.withAttachedRoutes(facts)
	}
	counts := map[gwv1.SectionName]int32{}
	for route := range g.routesByGateway[name] {
		for _, listener := range g.acceptedBy(facts, name, route.facts) {
			counts[listener]++
		}
	}
	facts.AttachedRoutes = make([]int32, len(facts.Listeners))
	for i, l := range facts.Listeners {
		facts.AttachedRoutes[i] = counts[l.Spec.Name]
	}
	return facts
}

// withAttachedRoutes copies facts and adds the routes that the listeners have accepted. "AttachedRoutes ... MUST be set
// for Listeners, even if the Accepted condition of an individual Listener is set to False."
func (g *Graph) withAttachedRoutes(facts *GatewayFacts) *GatewayFacts {
	if !facts.Managed {
		return facts
	}
	c := *facts
	name := namespacedName(facts.Object)
	c.AttachedRoutes = make([]int32, len(c.Listeners))
	for i, l := range c.Listeners {
		c.AttachedRoutes[i] = g.attached[listenerKey{name, l.Spec.Name}]
	}
	return &c
}

func (g *Graph) setGateway(name types.NamespacedName, gw *gwv1.Gateway, d *Dirty) {
	d.gatewayStatus(name)
	old := g.gateways[name]
	if old != nil && gw != nil && reflect.DeepEqual(old.facts.Object.Spec, gw.Spec) {
		old.facts = old.facts.withObject(gw)
		return
	}
	if old != nil {
		g.indexGateway(old.facts.Object, false)
	}
	if gw == nil {
		g.replaceGateway(name, nil, d)
		return
	}
	g.indexGateway(gw, true)
	g.replaceGateway(name, g.evalGateway(gw), d)
}

// indexGateway adds or removes the edges from a Gateway to what its facts depend on.
func (g *Graph) indexGateway(gw *gwv1.Gateway, present bool) {
	name := namespacedName(gw)
	g.gatewaysByClass.edit(present, string(gw.Spec.GatewayClassName), name)
	refer := func(by index[types.NamespacedName, types.NamespacedName], namespace *gwv1.Namespace, object gwv1.ObjectName) {
		target := types.NamespacedName{Namespace: namespaceOr(namespace, gw.Namespace), Name: string(object)}
		by.edit(present, target, name)
		if target.Namespace != gw.Namespace {
			g.gatewaysAcross.edit(present, crossing{KindGateway, gw.Namespace, target.Namespace}, name)
		}
	}
	for i := range gw.Spec.Listeners {
		if tls := gw.Spec.Listeners[i].TLS; tls != nil {
			for _, ref := range tls.CertificateRefs {
				refer(g.gatewaysBySecret, ref.Namespace, ref.Name)
			}
		}
	}
	if ref := clientCertificateRef(gw); ref != nil {
		refer(g.gatewaysBySecret, ref.Namespace, ref.Name)
	}
	for _, frontend := range frontends(gw) {
		for _, ref := range frontend.validation.CACertificateRefs {
			refer(g.gatewaysByConfigMap, ref.Namespace, ref.Name)
		}
	}
}

// refreshGateway looks at a Gateway again after something that it refers to has changed.
func (g *Graph) refreshGateway(name types.NamespacedName, d *Dirty) {
	g.replaceGateway(name, g.evalGateway(g.gateways[name].facts.Object), d)
}

// replaceGateway puts facts in place of what was known of a Gateway, and follows what that changes for its virtual
// hosts and routes. Nil facts mean that the Gateway is gone.
func (g *Graph) replaceGateway(name types.NamespacedName, facts *GatewayFacts, d *Dirty) {
	var before, after gatewayNode
	if node := g.gateways[name]; node != nil {
		before = *node
	}
	if facts == nil {
		delete(g.gateways, name)
	} else {
		after = gatewayNode{facts: facts, served: servedListeners(facts), needs: g.gatewayNeeds(facts.Object)}
		after.hosts = listenerHosts(after.served)
		g.gateways[name] = &after
	}
	g.changeNeeds(before.needs, after.needs, d)
	if sameGateway(before.facts, after.facts) {
		return
	}
	d.gatewayStatus(name)
	if isManaged(before.facts) || isManaged(after.facts) {
		d.gateway(name)
	}
	for key := range before.hosts {
		if _, kept := after.hosts[key]; !kept {
			d.virtualHost(key)
		}
	}
	for key, misdirected := range after.hosts {
		if was, kept := before.hosts[key]; !kept || was != misdirected {
			d.virtualHost(key)
		}
	}
	if before.facts.clientCertificate() != after.facts.clientCertificate() {
		for key := range g.hostRoutes[name] {
			d.virtualHost(key)
		}
	}
	if !sameForRoutes(before.facts, after.facts) {
		for route := range g.routesByGateway[name] {
			g.reattachRoute(route, d)
		}
	}
}

func isManaged(f *GatewayFacts) bool { return f != nil && f.Managed }

// sameGateway compares everything but metadata and status.
func sameGateway(a, b *GatewayFacts) bool {
	if a == nil || b == nil {
		return a == b
	}
	if !a.Managed && !b.Managed {
		return a.ClassMissing == b.ClassMissing
	}
	if a.Object != b.Object && !reflect.DeepEqual(a.Object.Spec, b.Object.Spec) {
		return false
	}
	ca, cb := *a, *b
	ca.Object, cb.Object = nil, nil
	return reflect.DeepEqual(ca, cb)
}

// sameForRoutes says whether routes find the same in two states of a Gateway: it spares them a look when, for example,
// a certificate has been renewed.
func sameForRoutes(a, b *GatewayFacts) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Managed == b.Managed && a.ClassMissing == b.ClassMissing && slices.EqualFunc(a.Listeners, b.Listeners, func(x, y *ListenerFacts) bool {
		return x.Spec.Name == y.Spec.Name && x.Spec.Port == y.Spec.Port && x.Spec.Protocol == y.Spec.Protocol &&
			x.Hostname == y.Hostname && (x.Unprogrammed == nil) == (y.Unprogrammed == nil) &&
			reflect.DeepEqual(x.Spec.AllowedRoutes, y.Spec.AllowedRoutes)
	})
}

// withObject returns facts about another write of the same spec.
func (f *GatewayFacts) withObject(gw *gwv1.Gateway) *GatewayFacts {
	c := *f
	c.Object = gw
	c.Listeners = slices.Clone(f.Listeners)
	for i, l := range c.Listeners {
		lc := *l
		lc.Spec = &gw.Spec.Listeners[i]
		c.Listeners[i] = &lc
	}
	return &c
}

func (g *Graph) evalGateway(gw *gwv1.Gateway) *GatewayFacts {
	class := g.GatewayClass(string(gw.Spec.GatewayClassName))
	f := &GatewayFacts{Object: gw, ClassMissing: class == nil, Managed: class != nil && class.Managed}
	if !f.Managed {
		return f
	}
	f.Listeners = g.evalListeners(gw)
	f.Unaccepted = firstProblem(classNotAccepted(class), gatewayParameters(gw), unsupportedAddress(gw), noListenerValid(f.Listeners))
	if f.Unaccepted == nil {
		f.SomeListenersInvalid = someListenersInvalid(f.Listeners)
	}
	f.Addresses = boundAddresses(gw)
	f.Unprogrammed = firstProblem(notAccepted(f), addressNotAssigned(gw), addressNotUsable(gw))
	if f.Unprogrammed != nil {
		holdListeners(f)
	} else {
		f.Unprogrammed = nothingServed(f.Listeners)
	}
	var clientCertificate *Problem
	f.ClientCertificate, clientCertificate = g.clientCertificate(gw)
	f.Unresolved = firstProblem(clientCertificate, listenersNotResolved(f.Listeners))
	f.InsecureFrontend = insecureFrontend(gw)
	f.Warnings = append(gatewayWarnings(gw), unusedFrontends(gw)...)
	return f
}

// gatewayParameters: "If the referent cannot be found, refers to an unsupported kind, or when the data within that
// resource is malformed, the Gateway SHOULD be rejected with the Accepted status condition set to False and an
// InvalidParameters reason." No kind of parameters is supported.
func gatewayParameters(gw *gwv1.Gateway) *Problem {
	if gw.Spec.Infrastructure == nil || gw.Spec.Infrastructure.ParametersRef == nil {
		return nil
	}
	ref := gw.Spec.Infrastructure.ParametersRef
	return newProblem(gwv1.GatewayReasonInvalidParameters,
		"spec.infrastructure.parametersRef: kind %s is not supported; no parameters are, so remove the reference",
		groupKind(ref.Group, ref.Kind))
}

// noListenerValid: "At least one distinct Listener MUST be present, or else the Gateway effectively contains no
// Listeners, and must be rejected from processing as a whole."
func noListenerValid(listeners []*ListenerFacts) *Problem {
	if slices.ContainsFunc(listeners, func(l *ListenerFacts) bool { return l.Unaccepted == nil }) {
		return nil
	}
	return newProblem(gwv1.GatewayReasonListenersNotValid, "no listener is valid: %s", describeListeners(listeners))
}

// someListenersInvalid: "The implementation MUST set a ListenersNotValid condition on the Gateway Status when the
// Gateway contains Conflicted Listeners whether or not they accept the Gateway. That Condition SHOULD clearly indicate
// in the Message which Listeners are conflicted, and which are Accepted."
func someListenersInvalid(listeners []*ListenerFacts) *Problem {
	if !slices.ContainsFunc(listeners, func(l *ListenerFacts) bool { return l.Unaccepted != nil }) {
		return nil
	}
	return newProblem(gwv1.GatewayReasonListenersNotValid, "some listeners are not valid: %s", describeListeners(listeners))
}

// describeListeners says of each listener whether it is accepted.
func describeListeners(listeners []*ListenerFacts) string {
	if len(listeners) == 0 {
		return "there are none"
	}
	var parts []string
	for _, l := range listeners {
		reason := string(gwv1.ListenerReasonAccepted)
		if l.Unaccepted != nil {
			reason = l.Unaccepted.Reason
		}
		parts = append(parts, fmt.Sprintf("%s is %s", l.Spec.Name, reason))
	}
	return strings.Join(parts, ", ")
}

// notAccepted: "This reason is used with the Programmed and Accepted conditions when the Gateway is syntactically or
// semantically invalid" (GatewayReasonInvalid). What isn't accepted isn't programmed.
func notAccepted(f *GatewayFacts) *Problem {
	if f.Unaccepted == nil {
		return nil
	}
	return newProblem(gwv1.GatewayReasonInvalid, "the Gateway is not accepted: %s", f.Unaccepted.Message)
}

// holdListeners takes the listeners of a Gateway that isn't programmed out of service.
func holdListeners(f *GatewayFacts) {
	for _, l := range f.Listeners {
		if l.Unprogrammed == nil {
			l.Unprogrammed = newProblem(gwv1.ListenerReasonPending, "waits for the Gateway: %s", f.Unprogrammed.Message)
		}
	}
}

// nothingServed: Programmed says "whether a Gateway has generated some configuration"; without a listener to serve,
// there is none.
func nothingServed(listeners []*ListenerFacts) *Problem {
	var parts []string
	for _, l := range listeners {
		if l.Unprogrammed == nil {
			return nil
		}
		parts = append(parts, fmt.Sprintf("%s: %s", l.Spec.Name, l.Unprogrammed.Message))
	}
	return newProblem(gwv1.GatewayReasonInvalid, "no listener can be served: %s", strings.Join(parts, "; "))
}

// listenersNotResolved: "This reason is used with the ResolvedRefs condition when one or more Listeners have their
// ResolvedRefs condition set to false in their status."
func listenersNotResolved(listeners []*ListenerFacts) *Problem {
	var parts []string
	for _, l := range listeners {
		if l.Unresolved != nil {
			parts = append(parts, fmt.Sprintf("%s: %s", l.Spec.Name, l.Unresolved.Message))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return newProblem(gwv1.GatewayReasonListenersNotResolved, "references of listeners are not resolved: %s", strings.Join(parts, "; "))
}

// gatewayWarnings names what is set in the spec and does nothing.
func gatewayWarnings(gw *gwv1.Gateway) []string {
	var warnings []string
	warn := func(field, why string) { warnings = append(warnings, field+" has no effect: "+why) }
	if allowed := gw.Spec.AllowedListeners; allowed != nil && allowed.Namespaces != nil && allowed.Namespaces.From != nil &&
		*allowed.Namespaces.From != gwv1.NamespacesFromNone {
		warn("spec.allowedListeners", "ListenerSets are not supported")
	}
	if scope := gw.Spec.DefaultScope; scope != "" && scope != gwv1.GatewayDefaultScopeNone {
		warn("spec.defaultScope", "default Gateways are not supported")
	}
	if infra := gw.Spec.Infrastructure; infra != nil {
		if len(infra.Labels) > 0 {
			warn("spec.infrastructure.labels", "no objects are created for a Gateway")
		}
		if len(infra.Annotations) > 0 {
			warn("spec.infrastructure.annotations", "no objects are created for a Gateway")
		}
	}
	for i := range gw.Spec.Listeners {
		if tls := gw.Spec.Listeners[i].TLS; tls != nil && len(tls.Options) > 0 {
			warn(fmt.Sprintf("spec.listeners[%d].tls.options", i), "no options are known")
		}
	}
	return warnings
}

func (g *Graph) setSecret(name types.NamespacedName, secret *corev1.Secret, d *Dirty) {
	old := g.secrets[name]
	put(g.secrets, name, secret)
	if sameSecret(old, secret) {
		return
	}
	for gateway := range g.gatewaysBySecret[name] {
		g.refreshGateway(gateway, d)
	}
}
