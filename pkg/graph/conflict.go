package graph

import (
	"slices"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// judgeListeners finds out which of the listeners of a scope are in conflict, and with that what each of them is. They come in
// groups, one for each Gateway or ListenerSet, in the order of precedence.
//
// Within a group, "the implementation MUST NOT pick one conflicting Listener as the winner"; of groups, the one that comes
// first has it: a listener that isn't in conflict with those before it isn't either with those that come after. A listener in conflict has
// no port, be it the first to ask: what a later group asks for there is served.
func judgeListeners(groups [][]*ListenerFacts) {
	distinct := newOccupants()
	var all []*ListenerFacts
	for _, group := range groups {
		// One that has lost to an earlier group doesn't take others of its own group along.
		own, none := newOccupants(), newOccupants()
		for _, l := range group {
			if l.Conflict = firstProblem(protocolConflict(l, distinct, none), hostnameConflict(l, distinct, none)); l.Conflict == nil {
				own.add(l)
			}
		}
		for _, l := range group {
			if l.Conflict == nil {
				l.Conflict = firstProblem(protocolConflict(l, none, own), hostnameConflict(l, none, own))
			}
		}
		for _, l := range group {
			l.Unaccepted = firstProblem(unsupportedProtocol(l), l.Conflict, l.Unaccepted)
			if l.Conflict == nil {
				distinct.add(l)
			}
		}
		all = append(all, group...)
	}
	judgeOverlaps(all)
	for _, l := range all {
		l.Unprogrammed = listenerNotServed(l)
	}
}

// occupants finds who has a port. Listeners without one, and of protocols that aren't supported, take no part.
type occupants struct {
	ports map[occupiedPort][]*ListenerFacts
	hosts map[occupiedHost][]*ListenerFacts
}

type occupiedPort struct {
	port  gwv1.PortNumber
	udp   bool
	layer protocolLayer
}

type occupiedHost struct {
	occupiedPort
	domain string
}

func newOccupants() *occupants {
	return &occupants{map[occupiedPort][]*ListenerFacts{}, map[occupiedHost][]*ListenerFacts{}}
}

func (o *occupants) add(l *ListenerFacts) {
	if !l.occupies() {
		return
	}
	port := portOf(l)
	host := occupiedHost{port, domain(l.Hostname)}
	o.ports[port] = append(o.ports[port], l)
	o.hosts[host] = append(o.hosts[host], l)
}

func portOf(l *ListenerFacts) occupiedPort {
	return occupiedPort{l.Spec.Port, l.Spec.Protocol == gwv1.UDPProtocolType, layer(l.Spec.Protocol)}
}

// but returns what of a list isn't l.
func (l *ListenerFacts) but(list ...[]*ListenerFacts) []*ListenerFacts {
	return slices.DeleteFunc(slices.Concat(list...), func(o *ListenerFacts) bool { return o == l })
}

// protocolConflict: "multiple Listeners are specified with the same Listener port number, but have conflicting protocol
// specifications" (ListenerReasonProtocolConflict). A port carries HTTP, or TLS with any mix of HTTPS and TLS listeners, or one
// TCP listener; and beside it, one UDP listener: "all the Listeners that share a port with the TCP Listener are not distinct
// and so MUST NOT be accepted".
func protocolConflict(l *ListenerFacts, before, own *occupants) *Problem {
	if !l.occupies() {
		return nil
	}
	var others []*ListenerFacts
	for _, in := range []protocolLayer{plainHTTP, behindTLS, wholePort} {
		if in != layer(l.Spec.Protocol) || in == wholePort {
			port := portOf(l)
			port.layer = in
			others = append(others, l.but(before.ports[port], own.ports[port])...)
		}
	}
	if len(others) == 0 {
		return nil
	}
	return newProblem(gwv1.ListenerReasonProtocolConflict, "%s: port %d is used by %s; one port serves HTTP, or HTTPS and TLS, or TCP, and beside it UDP",
		l.field("protocol"), l.Spec.Port, describeOthers(l, others))
}

// hostnameConflict: "The set of listeners that all share a protocol value MUST have different values for at least one of
// these fields to be distinct: HTTP, HTTPS, TLS: Port, Hostname." HTTPS and TLS listeners are told apart by server name (SNI)
// only, so that they must differ in it too.
func hostnameConflict(l *ListenerFacts, before, own *occupants) *Problem {
	host := occupiedHost{portOf(l), domain(l.Hostname)}
	if !l.occupies() || host.layer == wholePort {
		return nil
	}
	others := l.but(before.hosts[host], own.hosts[host])
	if len(others) == 0 {
		return nil
	}
	return newProblem(gwv1.ListenerReasonHostnameConflict, "%s: port %d has the same hostname in %s; give each its own",
		l.field("hostname"), l.Spec.Port, describeOthers(l, others))
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
