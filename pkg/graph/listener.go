package graph

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// evalListeners finds what is true of the listeners of a Gateway, each by itself.
func (g *Graph) evalListeners(gw *gwv1.Gateway) []*ListenerFacts {
	listeners := make([]*ListenerFacts, len(gw.Spec.Listeners))
	for i := range gw.Spec.Listeners {
		spec := &gw.Spec.Listeners[i]
		listeners[i] = g.evalListener(ListenerKey{gatewayKey(namespacedName(gw)), spec.Name}, i, spec, gw)
	}
	return listeners
}

// evalListener finds what is true of a listener of a Gateway, or of a ListenerSet attached to it, whatever the other
// listeners are.
func (g *Graph) evalListener(key ListenerKey, i int, spec *gwv1.Listener, gw *gwv1.Gateway) *ListenerFacts {
	l := &ListenerFacts{Key: key, Spec: spec, Index: i}
	if spec.Hostname != nil && hasHostname(spec.Protocol) {
		l.Hostname = strings.ToLower(string(*spec.Hostname))
	}
	if !isSupported(spec.Protocol) {
		return l
	}
	var noAuthority, authorities, certificates, kinds *Problem
	l.ClientValidation, noAuthority, authorities = g.clientValidation(gw, l)
	l.Unaccepted = firstProblem(unsupportedPort(l), unsupportedTLS(l), noAuthority, invalidSelector(l))
	l.Certificates, certificates = g.certificates(l)
	l.SupportedKinds, kinds = supportedKinds(l)
	l.Unresolved = firstProblem(certificates, authorities, kinds)
	return l
}

// field is the path of one of the listener's fields.
func (l *ListenerFacts) field(name string) string {
	return fmt.Sprintf("spec.listeners[%d].%s", l.Index, name)
}

// routeKinds are the kinds of routes that listeners of each protocol carry.
var routeKinds = map[gwv1.ProtocolType][]Kind{
	gwv1.HTTPProtocolType:  {KindHTTPRoute, KindGRPCRoute},
	gwv1.HTTPSProtocolType: {KindHTTPRoute, KindGRPCRoute},
	gwv1.TLSProtocolType:   {KindTLSRoute},
	gwv1.TCPProtocolType:   {KindTCPRoute},
	gwv1.UDPProtocolType:   {KindUDPRoute},
}

func isSupported(p gwv1.ProtocolType) bool { return routeKinds[p] != nil }

// readsHTTP says whether a listener knows what requests it gets.
func (l *ListenerFacts) readsHTTP() bool {
	return l.Spec.Protocol == gwv1.HTTPProtocolType || l.Spec.Protocol == gwv1.HTTPSProtocolType
}

// hasHostname: "This field is ignored for protocols that don't require hostname based matching."
func hasHostname(p gwv1.ProtocolType) bool { return layer(p) != wholePort }

// unsupportedProtocol: "If an implementation does not support a specified protocol, it MUST set the Accepted condition
// to False for the affected Listener with a reason of UnsupportedProtocol."
func unsupportedProtocol(l *ListenerFacts) *Problem {
	if isSupported(l.Spec.Protocol) {
		return nil
	}
	return newProblem(gwv1.ListenerReasonUnsupportedProtocol, "%s: %s is not supported; use %s, %s, %s, %s or %s", l.field("protocol"), l.Spec.Protocol,
		gwv1.HTTPProtocolType, gwv1.HTTPSProtocolType, gwv1.TLSProtocolType, gwv1.TCPProtocolType, gwv1.UDPProtocolType)
}

// reasonUnsupportedPort is named by XListenerSet, and has no constant upstream.
const reasonUnsupportedPort gwv1.ListenerConditionReason = "UnsupportedPort"

// unsupportedPort: "If the port is not set or specified as zero, the implementation will assign a unique port. If the
// implementation does not support dynamic port assignment, it MUST set Accepted condition to False with the UnsupportedPort
// reason" (XListenerSet v1alpha1, ListenerEntry.Port). All other schemas require a port.
func unsupportedPort(l *ListenerFacts) *Problem {
	if l.Spec.Port != 0 {
		return nil
	}
	return newProblem(reasonUnsupportedPort, "%s: must be set, because no ports are assigned; use one between 1 and 65535", l.field("port"))
}

// occupies says whether a listener has a port that others can be in conflict about.
func (l *ListenerFacts) occupies() bool { return isSupported(l.Spec.Protocol) && l.Spec.Port != 0 }

// terminatesTLS says whether a listener reads what is in its TLS connections: "Terminate" is the default mode.
func terminatesTLS(l *ListenerFacts) bool {
	tls := l.Spec.TLS
	return layer(l.Spec.Protocol) == behindTLS && (tls == nil || tls.Mode == nil || *tls.Mode == gwv1.TLSModeTerminate)
}

// unsupportedTLS: HTTPS "accepts HTTP/1.1 or HTTP/2 sessions over TLS", which Passthrough would leave unread; and "it
// is invalid to set this field if the Protocol field is HTTP, TCP, or UDP".
func unsupportedTLS(l *ListenerFacts) *Problem {
	tls := l.Spec.TLS
	if tls == nil {
		return nil
	}
	if layer(l.Spec.Protocol) != behindTLS {
		return newProblem(gwv1.ListenerReasonUnsupportedValue, "%s: must not be set for protocol %s", l.field("tls"), l.Spec.Protocol)
	}
	switch mode := valueOr(tls.Mode, gwv1.TLSModeTerminate); {
	case mode == gwv1.TLSModeTerminate, mode == gwv1.TLSModePassthrough && l.Spec.Protocol == gwv1.TLSProtocolType:
		return nil
	default:
		return newProblem(gwv1.ListenerReasonUnsupportedValue, "%s: %s is not supported for protocol %s; use %s",
			l.field("tls.mode"), mode, l.Spec.Protocol, gwv1.TLSModeTerminate)
	}
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
// "When unspecified or empty, the kinds of Routes selected are determined using the Listener protocol."
func supportedKinds(l *ListenerFacts) ([]gwv1.RouteGroupKind, *Problem) {
	carried := routeKinds[l.Spec.Protocol]
	var supported []gwv1.RouteGroupKind
	support := func(kind gwv1.Kind) {
		supported = append(supported, gwv1.RouteGroupKind{Group: new(gwv1.Group(gwv1.GroupName)), Kind: kind})
	}
	if l.Spec.AllowedRoutes == nil || len(l.Spec.AllowedRoutes.Kinds) == 0 {
		for _, kind := range carried {
			support(gwv1.Kind(kind))
		}
		return supported, nil
	}
	var problem *Problem
	for i, kind := range l.Spec.AllowedRoutes.Kinds {
		group := valueOr(kind.Group, gwv1.GroupName)
		if group == gwv1.GroupName && slices.Contains(carried, Kind(kind.Kind)) {
			support(kind.Kind)
		} else if problem == nil {
			names := make([]string, len(carried))
			for j, c := range carried {
				names[j] = string(c)
			}
			problem = newProblem(gwv1.ListenerReasonInvalidRouteKinds, "%s: protocol %s does not support %s; use %s",
				l.field(fmt.Sprintf("allowedRoutes.kinds[%d]", i)), l.Spec.Protocol, groupKind(group, kind.Kind), strings.Join(names, " or "))
		}
	}
	return supported, problem
}

// listenerNotServed says why a listener has no configuration: it isn't accepted, it has no certificate to show, or no
// kind of route can ever attach to it.
func listenerNotServed(l *ListenerFacts) *Problem {
	switch {
	case l.Unaccepted != nil:
		return newProblem(gwv1.ListenerReasonInvalid, "the listener is not accepted: %s", l.Unaccepted.Message)
	case terminatesTLS(l) && len(l.Certificates) == 0:
		return newProblem(gwv1.ListenerReasonInvalid, "no certificate can be used: %s", l.Unresolved.Message)
	case len(l.SupportedKinds) == 0:
		return newProblem(gwv1.ListenerReasonInvalid, "no kind of route that %s lists can attach", l.field("allowedRoutes.kinds"))
	}
	return nil
}
