package graph

import (
	"slices"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// judgeListeners finds out which of the listeners of a scope are in conflict, and with that what each of them is. They come in
// groups, one for each Gateway or ListenerSet, in the order of precedence.
//
// Within a group, "the implementation MUST NOT pick one conflicting Listener as the winner"; of groups, the one that comes
// first has it: a listener that isn't in conflict with those before it isn't either with those that come after.
func judgeListeners(groups [][]*ListenerFacts) {
	var all, distinct []*ListenerFacts
	for _, group := range groups {
		for _, l := range group {
			others := append(slices.Clone(distinct), group...)
			l.Conflict = firstProblem(protocolConflict(l, others), hostnameConflict(l, others))
		}
		for _, l := range group {
			l.Unaccepted = firstProblem(unsupportedProtocol(l), l.Conflict, l.Unaccepted)
			if l.Conflict == nil {
				distinct = append(distinct, l)
			}
		}
		all = append(all, group...)
	}
	for _, l := range all {
		l.Overlapping = overlappingHostnames(l, all)
		l.Unprogrammed = listenerNotServed(l)
	}
}

// protocolConflict: "multiple Listeners are specified with the same Listener port number, but have conflicting protocol
// specifications" (ListenerReasonProtocolConflict). A port carries HTTP, or TLS with any mix of HTTPS and TLS listeners, or one
// TCP listener; and beside it, one UDP listener: "all the Listeners that share a port with the TCP Listener are not distinct
// and so MUST NOT be accepted".
func protocolConflict(l *ListenerFacts, all []*ListenerFacts) *Problem {
	others := listenersLike(l, all, func(o *ListenerFacts) bool {
		if isUDP(l) != isUDP(o) {
			return false
		}
		return layer(o.Spec.Protocol) != layer(l.Spec.Protocol) || layer(l.Spec.Protocol) == wholePort
	})
	if others == "" {
		return nil
	}
	return newProblem(gwv1.ListenerReasonProtocolConflict, "%s: port %d is used by %s; one port serves HTTP, or HTTPS and TLS, or TCP, and beside it UDP",
		l.field("protocol"), l.Spec.Port, others)
}

// hostnameConflict: "The set of listeners that all share a protocol value MUST have different values for at least one of
// these fields to be distinct: HTTP, HTTPS, TLS: Port, Hostname." HTTPS and TLS listeners are told apart by server name (SNI)
// only, so that they must differ in it too.
func hostnameConflict(l *ListenerFacts, all []*ListenerFacts) *Problem {
	others := listenersLike(l, all, func(o *ListenerFacts) bool {
		return layer(o.Spec.Protocol) == layer(l.Spec.Protocol) && layer(l.Spec.Protocol) != wholePort && domain(o.Hostname) == domain(l.Hostname)
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
		return overlap && o.Unaccepted == nil && o.Spec.Protocol == gwv1.HTTPSProtocolType
	})
	if others == "" {
		return nil
	}
	return newProblem(gwv1.ListenerReasonOverlappingHostnames,
		"%s: %s overlaps with the hostnames of %s on port %d; a connection that a client reuses for another hostname meets the wrong TLS configuration",
		l.field("hostname"), domain(l.Hostname), others, l.Spec.Port)
}

// listenersLike names the other listeners of l's port that fulfil a condition, in their order. Listeners of protocols
// that aren't supported take no part. Of those that stand elsewhere than l, no more is told than where.
func listenersLike(l *ListenerFacts, all []*ListenerFacts, condition func(*ListenerFacts) bool) string {
	if !isSupported(l.Spec.Protocol) {
		return ""
	}
	var names, elsewhere []string
	for _, o := range all {
		if o == l || o.Spec.Port != l.Spec.Port || !isSupported(o.Spec.Protocol) || !condition(o) {
			continue
		}
		if o.Key.Parent == l.Key.Parent {
			names = append(names, string(o.Key.Name))
		} else if parent := o.Key.Parent.String(); !slices.Contains(elsewhere, parent) {
			elsewhere = append(elsewhere, parent)
		}
	}
	switch len(names) {
	case 0:
	case 1:
		elsewhere = slices.Insert(elsewhere, 0, "listener "+names[0])
	default:
		elsewhere = slices.Insert(elsewhere, 0, "listeners "+strings.Join(names, ", "))
	}
	return strings.Join(elsewhere, " and ")
}

// A protocolLayer is what a port has to be free of for a listener: those of one layer share it.
type protocolLayer int

const (
	plainHTTP protocolLayer = iota
	behindTLS               // told apart by server name
	wholePort               // nothing tells connections apart, or packets
)

func layer(p gwv1.ProtocolType) protocolLayer {
	switch p {
	case gwv1.HTTPProtocolType:
		return plainHTTP
	case gwv1.HTTPSProtocolType, gwv1.TLSProtocolType:
		return behindTLS
	}
	return wholePort
}

func isUDP(l *ListenerFacts) bool { return l.Spec.Protocol == gwv1.UDPProtocolType }
