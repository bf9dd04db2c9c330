package graph

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func (g *Graph) evalListeners(gw *gwv1.Gateway) []*ListenerFacts {
	listeners := make([]*ListenerFacts, len(gw.Spec.Listeners))
	for i := range gw.Spec.Listeners {
		listeners[i] = g.evalListener(gw, i)
	}
	for _, l := range listeners {
		l.Conflict = firstProblem(protocolConflict(l, listeners), hostnameConflict(l, listeners))
	}
	for _, l := range listeners {
		l.Unaccepted = firstProblem(unsupportedProtocol(l), l.Conflict, l.Unaccepted)
	}
	for _, l := range listeners {
		l.Overlapping = overlappingHostnames(l, listeners)
		l.Unprogrammed = listenerNotServed(l)
	}
	return listeners
}

// evalListener finds what is true of a listener whatever the other listeners are.
func (g *Graph) evalListener(gw *gwv1.Gateway, i int) *ListenerFacts {
	spec := &gw.Spec.Listeners[i]
	l := &ListenerFacts{Spec: spec, Index: i}
	if spec.Hostname != nil {
		l.Hostname = strings.ToLower(string(*spec.Hostname))
	}
	if !isSupported(spec.Protocol) {
		return l
	}
	var noAuthority, authorities, certificates, kinds *Problem
	l.ClientValidation, noAuthority, authorities = g.clientValidation(gw, l)
	l.Unaccepted = firstProblem(tlsNotTerminated(l), noAuthority, invalidSelector(l))
	l.Certificates, certificates = g.certificates(gw, l)
	l.SupportedKinds, kinds = supportedKinds(l)
	l.Unresolved = firstProblem(certificates, authorities, kinds)
	return l
}

// field is the path of one of the listener's fields.
func (l *ListenerFacts) field(name string) string {
	return fmt.Sprintf("spec.listeners[%d].%s", l.Index, name)
}

func isSupported(p gwv1.ProtocolType) bool {
	return p == gwv1.HTTPProtocolType || p == gwv1.HTTPSProtocolType
}

// unsupportedProtocol: "If an implementation does not support a specified protocol, it MUST set the Accepted condition
// to False for the affected Listener with a reason of UnsupportedProtocol."
func unsupportedProtocol(l *ListenerFacts) *Problem {
	if isSupported(l.Spec.Protocol) {
		return nil
	}
	return newProblem(gwv1.ListenerReasonUnsupportedProtocol, "%s: %s is not supported; use %s or %s",
		l.field("protocol"), l.Spec.Protocol, gwv1.HTTPProtocolType, gwv1.HTTPSProtocolType)
}

// tlsNotTerminated: HTTPS "accepts HTTP/1.1 or HTTP/2 sessions over TLS", which Passthrough would leave unread; and "it
// is invalid to set this field if the Protocol field is HTTP".
func tlsNotTerminated(l *ListenerFacts) *Problem {
	tls := l.Spec.TLS
	switch {
	case tls == nil:
		return nil
	case l.Spec.Protocol == gwv1.HTTPProtocolType:
		return newProblem(gwv1.ListenerReasonUnsupportedValue, "%s: must not be set for protocol HTTP", l.field("tls"))
	case tls.Mode != nil && *tls.Mode != gwv1.TLSModeTerminate:
		return newProblem(gwv1.ListenerReasonUnsupportedValue, "%s: %s is not supported for protocol HTTPS; use %s",
			l.field("tls.mode"), *tls.Mode, gwv1.TLSModeTerminate)
	}
	return nil
}

// invalidSelector: "Selector must be specified when From is set to Selector. In that case, only Routes in Namespaces
// matching this Selector will be selected by this Gateway."
func invalidSelector(l *ListenerFacts) *Problem {
	from, selector := routeNamespaces(l)
	switch from {
	case gwv1.NamespacesFromAll, gwv1.NamespacesFromSame, gwv1.NamespacesFromNone:
		return nil
	case gwv1.NamespacesFromSelector:
		field := l.field("allowedRoutes.namespaces.selector")
		if selector == nil {
			return newProblem(gwv1.ListenerReasonUnsupportedValue, "%s: must be set when from is Selector", field)
		}
		if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
			return newProblem(gwv1.ListenerReasonUnsupportedValue, "%s: %v", field, err)
		}
		return nil
	}
	return newProblem(gwv1.ListenerReasonUnsupportedValue, "%s: %s is not known", l.field("allowedRoutes.namespaces.from"), from)
}

// routeNamespaces returns allowedRoutes.namespaces with its default: "This is restricted to the namespace of this
// Gateway by default."
func routeNamespaces(l *ListenerFacts) (gwv1.FromNamespaces, *metav1.LabelSelector) {
	allowed := l.Spec.AllowedRoutes
	if allowed == nil || allowed.Namespaces == nil || allowed.Namespaces.From == nil {
		return gwv1.NamespacesFromSame, nil
	}
	return *allowed.Namespaces.From, allowed.Namespaces.Selector
}

// supportedKinds: "If kinds are specified in Spec that are not supported, they MUST NOT appear in this list and an
// implementation MUST set the ResolvedRefs condition to False with the InvalidRouteKinds reason. If both valid and
// invalid Route kinds are specified, the implementation MUST reference the valid Route kinds that have been specified."
// "When unspecified or empty, the kinds of Routes selected are determined using the Listener protocol": HTTP and HTTPS
// both carry HTTPRoutes and GRPCRoutes.
func supportedKinds(l *ListenerFacts) ([]gwv1.RouteGroupKind, *Problem) {
	group := gwv1.Group(gwv1.GroupName)
	if l.Spec.AllowedRoutes == nil || len(l.Spec.AllowedRoutes.Kinds) == 0 {
		return []gwv1.RouteGroupKind{{Group: &group, Kind: gwv1.Kind(KindHTTPRoute)}, {Group: &group, Kind: gwv1.Kind(KindGRPCRoute)}}, nil
	}
	var supported []gwv1.RouteGroupKind
	var problem *Problem
	for i, kind := range l.Spec.AllowedRoutes.Kinds {
		g := group
		if kind.Group != nil {
			g = *kind.Group
		}
		if g == group && (kind.Kind == gwv1.Kind(KindHTTPRoute) || kind.Kind == gwv1.Kind(KindGRPCRoute)) {
			supported = append(supported, gwv1.RouteGroupKind{Group: &group, Kind: kind.Kind})
		} else if problem == nil {
			problem = newProblem(gwv1.ListenerReasonInvalidRouteKinds, "%s: protocol %s does not support %s; use HTTPRoute or GRPCRoute",
				l.field(fmt.Sprintf("allowedRoutes.kinds[%d]", i)), l.Spec.Protocol, groupKind(g, kind.Kind))
		}
	}
	return supported, problem
}

// protocolConflict: "multiple Listeners are specified with the same Listener port number, but have conflicting protocol
// specifications" (ListenerReasonProtocolConflict). A listener of a protocol that isn't supported conflicts with nothing:
// "If an implementation does not support TCP Protocol Listeners, then the previous rule does not apply."
func protocolConflict(l *ListenerFacts, all []*ListenerFacts) *Problem {
	others := listenersLike(l, all, func(o *ListenerFacts) bool { return o.Spec.Protocol != l.Spec.Protocol })
	if others == "" {
		return nil
	}
	return newProblem(gwv1.ListenerReasonProtocolConflict, "%s: port %d has another protocol in %s; one port serves one protocol",
		l.field("protocol"), l.Spec.Port, others)
}

// hostnameConflict: "The set of listeners that all share a protocol value MUST have different values for at least one of
// these fields to be distinct: HTTP, HTTPS, TLS: Port, Hostname." And: "The implementation MUST NOT pick one conflicting
// Listener as the winner. ALL indistinct Listeners must not be accepted for processing."
func hostnameConflict(l *ListenerFacts, all []*ListenerFacts) *Problem {
	others := listenersLike(l, all, func(o *ListenerFacts) bool {
		return o.Spec.Protocol == l.Spec.Protocol && domain(o.Hostname) == domain(l.Hostname)
	})
	if others == "" {
		return nil
	}
	return newProblem(gwv1.ListenerReasonHostnameConflict, "%s: port %d has the same hostname in %s; give each its own",
		l.field("hostname"), l.Spec.Port, others)
}

// overlappingHostnames: "Listener A matches *.example.com while Listener B matches foo.example.com. ... This condition
// MUST be set on all Listeners with overlapping TLS config" (ListenerConditionOverlappingTLSConfig). Listeners that are
// not accepted have no TLS configuration to overlap.
func overlappingHostnames(l *ListenerFacts, all []*ListenerFacts) *Problem {
	if l.Unaccepted != nil || l.Spec.Protocol != gwv1.HTTPSProtocolType {
		return nil
	}
	others := listenersLike(l, all, func(o *ListenerFacts) bool {
		_, overlap := intersect(domain(l.Hostname), domain(o.Hostname))
		return overlap && o.Unaccepted == nil
	})
	if others == "" {
		return nil
	}
	return newProblem(gwv1.ListenerReasonOverlappingHostnames,
		"%s: %s overlaps with the hostnames of %s on port %d; a connection that a client reuses for another hostname meets the wrong TLS configuration",
		l.field("hostname"), domain(l.Hostname), others, l.Spec.Port)
}

// listenersLike names the other listeners of l's port that fulfil a condition, in their order. Listeners of protocols
// that aren't supported take no part.
func listenersLike(l *ListenerFacts, all []*ListenerFacts, condition func(*ListenerFacts) bool) string {
	if !isSupported(l.Spec.Protocol) {
		return ""
	}
	var names []string
	for _, o := range all {
		if o != l && o.Spec.Port == l.Spec.Port && isSupported(o.Spec.Protocol) && condition(o) {
			names = append(names, string(o.Spec.Name))
		}
	}
	switch len(names) {
	case 0:
		return ""
	case 1:
		return "listener " + names[0]
	}
	return "listeners " + strings.Join(names, ", ")
}

// listenerNotServed says why a listener has no configuration: it isn't accepted, it has no certificate to show, or no
// kind of route can ever attach to it.
func listenerNotServed(l *ListenerFacts) *Problem {
	switch {
	case l.Unaccepted != nil:
		return newProblem(gwv1.ListenerReasonInvalid, "the listener is not accepted: %s", l.Unaccepted.Message)
	case l.Spec.Protocol == gwv1.HTTPSProtocolType && len(l.Certificates) == 0:
		return newProblem(gwv1.ListenerReasonInvalid, "no certificate can be used: %s", l.Unresolved.Message)
	case len(l.SupportedKinds) == 0:
		return newProblem(gwv1.ListenerReasonInvalid, "no kind of route that %s lists can attach", l.field("allowedRoutes.kinds"))
	}
	return nil
}

// A servedListener is a listener with configuration.
type servedListener struct {
	name   gwv1.SectionName
	table  TableKey
	domain string
}

func servedListeners(f *GatewayFacts) []servedListener {
	var served []servedListener
	for _, l := range f.Listeners {
		if l.Unprogrammed != nil {
			continue
		}
		s := servedListener{
			name:   l.Spec.Name,
			table:  TableKey{Gateway: namespacedName(f.Object), Port: l.Spec.Port},
			domain: domain(l.Hostname),
		}
		if l.Spec.Protocol == gwv1.HTTPSProtocolType {
			s.table.Listener = string(l.Spec.Name)
		}
		served = append(served, s)
	}
	return served
}

// bestListener returns the listener of a port that requests for a domain belong to, or nil: "inbound request hostnames
// MUST match from the most specific to least specific Hostname values to choose the correct Listener and its associated
// set of Routes."
func bestListener(served []servedListener, port int32, domain string) *servedListener {
	var best *servedListener
	for i := range served {
		l := &served[i]
		if l.table.Port == port && covers(l.domain, domain) && (best == nil || moreSpecific(l.domain, best.domain)) {
			best = l
		}
	}
	return best
}

func listenerNamed(served []servedListener, name gwv1.SectionName) *servedListener {
	i := slices.IndexFunc(served, func(l servedListener) bool { return l.name == name })
	if i < 0 {
		return nil
	}
	return &served[i]
}
