package graph

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Which Gateway of a fleet gets which address of its pool is a matter of the objects alone: of what the Gateways ask for, of
// what their status says that they have, and of their age. An address that is in status stays where it is until an older
// Gateway asks for it, so that whoever has been told of it finds the Gateway there; and as a status that says what has been
// found here changes nothing of it, replicas agree, whichever of them writes it.
//
// The pools of two fleets have nothing to do with each other, be they the same: the Envoys of the fleets may be in networks of
// their own. The EnvoyFleets have a warning.

// poolAddresses returns what the members of a scope, which have one fleet, have of its pool; nil if there is none.
func (g *Graph) poolAddresses(members []*gwv1.Gateway, with overlay) map[types.NamespacedName]addresses {
	for _, gw := range members {
		if _, fleet := g.scopeOf(gw); fleet.Name != "" {
			node := g.fleets[fleet]
			if node == nil || with.gateway == nil {
				return node.pooledAddresses()
			}
			return node.assign(g.gatewaysOf(fleet, with))
		}
	}
	return nil
}

func (n *fleetNode) pooledAddresses() map[types.NamespacedName]addresses {
	if n == nil {
		return nil
	}
	return n.pooled
}

// gatewaysOf returns the Gateways of a fleet, the oldest first.
func (g *Graph) gatewaysOf(fleet types.NamespacedName, with overlay) []*gwv1.Gateway {
	var gateways []*gwv1.Gateway
	for name := range g.gatewaysByFleet[fleet] {
		if with.gateway == nil || name != namespacedName(with.gateway) {
			gateways = append(gateways, g.gateways[name].object)
		}
	}
	if with.gateway != nil {
		if _, of := g.scopeOf(with.gateway); of == fleet {
			gateways = append(gateways, with.gateway)
		}
	}
	slices.SortFunc(gateways, func(a, b *gwv1.Gateway) int { return compareAge(a, b) })
	return gateways
}

// reassign gives the Gateways of fleets their addresses anew, and adds the scopes of those that get others.
func (g *Graph) reassign(fleets map[types.NamespacedName]struct{}, scopes map[Key]struct{}) {
	for fleet := range fleets {
		node := g.fleets[fleet]
		if node == nil || len(node.pool) == 0 && len(node.pooled) == 0 {
			continue
		}
		before := node.pooled
		node.pooled = node.assign(g.gatewaysOf(fleet, overlay{}))
		for name, after := range node.pooled {
			if !sameAddresses(before[name], after) {
				scopes[g.gateways[name].scope] = struct{}{}
			}
		}
	}
}

func sameAddresses(a, b addresses) bool {
	return slices.Equal(a.held, b.held) && (a.unprogrammed == b.unprogrammed || a.unprogrammed != nil && b.unprogrammed != nil && *a.unprogrammed == *b.unprogrammed)
}

// assign gives addresses to the Gateways of a fleet, which are sorted by age.
func (n *fleetNode) assign(gateways []*gwv1.Gateway) map[types.NamespacedName]addresses {
	if len(n.pool) == 0 {
		return nil
	}
	if n.object.Spec.MergeGateways {
		return n.assignOne(gateways)
	}
	a := assignment{pool: n.pool, fleet: fleetKey(namespacedName(n.object)), holders: map[netip.Addr]*gwv1.Gateway{}}
	claims := make([]claim, len(gateways))
	for i, gw := range gateways {
		claims[i] = a.claim(gw)
	}
	cursor := poolCursor{rest: n.pool}
	out := make(map[types.NamespacedName]addresses, len(gateways))
	for i, gw := range gateways {
		out[namespacedName(gw)] = a.fulfil(gw, claims[i], &cursor)
	}
	return out
}

// assignment is what is known while addresses are given.
type assignment struct {
	pool    pool
	fleet   Key
	holders map[netip.Addr]*gwv1.Gateway
}

// claim is what a Gateway gets because it asks for it, or has it.
type claim struct {
	kept    []netip.Addr
	refused *Problem
}

// claim has a Gateway hold what it asks for and what it keeps, unless an older one does.
func (a *assignment) claim(gw *gwv1.Gateway) claim {
	var c claim
	for i, request := range gw.Spec.Addresses {
		if !isIPAddress(request) || request.Value == "" {
			continue
		}
		if p := a.request(gw, i, request.Value); p != nil {
			c.refused = firstProblem(c.refused, p)
		}
	}
	n := wantsAny(gw)
	for _, value := range keptAddresses(gw) {
		addr := netip.MustParseAddr(value)
		if len(c.kept) < n && a.holders[addr] == nil && a.pool.contains(addr) {
			a.holders[addr] = gw
			c.kept = append(c.kept, addr)
		}
	}
	return c
}

// request: as addressNotUsable, for "the address is already in use" too.
func (a *assignment) request(gw *gwv1.Gateway, i int, value string) *Problem {
	ip, ok := bindable(value)
	if !ok || !a.pool.contains(netip.MustParseAddr(ip)) {
		return newProblem(gwv1.GatewayReasonAddressNotUsable,
			"spec.addresses[%d].value: %s is not in the pool of %s; ask for an address of its spec.addresses.pool, or leave the value empty to be assigned one",
			i, value, a.fleet)
	}
	addr := netip.MustParseAddr(ip)
	if holder := a.holders[addr]; holder != nil && holder != gw {
		return newProblem(gwv1.GatewayReasonAddressNotUsable,
			"spec.addresses[%d].value: %s is the address of %s; ask for another one, or leave the value empty to be assigned one",
			i, value, gatewayKey(namespacedName(holder)))
	}
	a.holders[addr] = gw
	return nil
}

// fulfil returns what a Gateway has, in the order of its spec.addresses, with the first addresses that are free for what it
// wants besides what it keeps.
func (a *assignment) fulfil(gw *gwv1.Gateway, c claim, cursor *poolCursor) addresses {
	out := addresses{unprogrammed: c.refused}
	next := func() {
		var addr netip.Addr
		if len(c.kept) > 0 {
			addr, c.kept = c.kept[0], c.kept[1:]
		} else if addr = cursor.free(func(addr netip.Addr) bool { return a.holders[addr] != nil }); !addr.IsValid() {
			// AddressNotAssigned: "IPAM address exhaustion".
			out.unprogrammed = firstProblem(out.unprogrammed, newProblem(gwv1.GatewayReasonAddressNotAssigned,
				"the pool of %s has no address left; add some to its spec.addresses.pool, or delete a Gateway", a.fleet))
			return
		}
		a.holders[addr] = gw
		out.hold(addr.String())
	}
	if len(gw.Spec.Addresses) == 0 {
		next()
	}
	for _, request := range gw.Spec.Addresses {
		if !isIPAddress(request) {
			continue
		}
		if request.Value == "" {
			next()
		} else if ip, ok := bindable(request.Value); ok && a.holders[netip.MustParseAddr(ip)] == gw {
			out.hold(ip)
		}
	}
	return out
}

// assignOne gives the Gateways of a merged fleet their one address.
func (n *fleetNode) assignOne(gateways []*gwv1.Gateway) map[types.NamespacedName]addresses {
	one := n.one(gateways)
	fleet := fleetKey(namespacedName(n.object))
	out := make(map[types.NamespacedName]addresses, len(gateways))
	for _, gw := range gateways {
		var a addresses
		for i, request := range gw.Spec.Addresses {
			ip, _ := bindable(request.Value)
			switch {
			case !isIPAddress(request) || request.Value == "":
			case ip == one:
				a.hold(one)
			case a.unprogrammed == nil:
				a.unprogrammed = newProblem(gwv1.GatewayReasonAddressNotUsable,
					"spec.addresses[%d].value: %s merges its Gateways, which are reached at %s; ask for that, or leave spec.addresses empty", i, fleet, one)
			}
		}
		if wantsAny(gw) > 0 {
			a.hold(one)
		}
		out[namespacedName(gw)] = a
	}
	return out
}

// one returns the address of a merged fleet: that which the oldest of its Gateways asks for or has of which there is one in the
// pool, or else the first.
func (n *fleetNode) one(gateways []*gwv1.Gateway) string {
	for _, gw := range gateways {
		claimed := boundAddresses(gw)
		if wantsAny(gw) > 0 {
			claimed = append(claimed, keptAddresses(gw)...)
		}
		for _, ip := range claimed {
			if n.pool.contains(netip.MustParseAddr(ip)) {
				return ip
			}
		}
	}
	return n.pool[0].first.String()
}
