package graph

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
)

// otlpPort is the default of spec.tracing.openTelemetry.port.
const otlpPort = 4317

// ownMetadata begins the keys of the metadata in which nodes say what they serve.
const ownMetadata = fleetv1alpha1.GroupName + "/"

// invalidFleet says why the spec of an EnvoyFleet can't be used.
func invalidFleet(fleet *fleetv1alpha1.EnvoyFleet) *Problem {
	return firstProblem(
		invalidNodes(fleet.Spec.Nodes),
		invalidAddresses(fleet.Spec.Addresses),
		invalidBindAddress(fleet.Spec.BindAddress),
		invalidAccessLog(fleet.Spec.AccessLog),
	)
}

// invalidNodes finds selectors that select any node, or none.
func invalidNodes(selectors []fleetv1alpha1.NodeSelector) *Problem {
	for i, s := range selectors {
		if s.ID == nil && s.Cluster == nil && len(s.Metadata) == 0 {
			return newProblem(fleetv1alpha1.ReasonInvalid, `spec.nodes[%d]: must set id, cluster or metadata; id "*" selects every node`, i)
		}
		for key := range s.Metadata {
			if strings.HasPrefix(key, ownMetadata) {
				return newProblem(fleetv1alpha1.ReasonInvalid,
					"spec.nodes[%d].metadata: keys that begin with %s are those by which a node names what it serves; select nodes by others", i, ownMetadata)
			}
		}
	}
	return nil
}

// invalidAddresses finds what is no address, or none that a Gateway can be reached at.
func invalidAddresses(a *fleetv1alpha1.Addresses) *Problem {
	if a == nil {
		return nil
	}
	if (len(a.Pool) > 0) == (len(a.Shared) > 0) {
		return newProblem(fleetv1alpha1.ReasonInvalid, "spec.addresses: exactly one of pool and shared must be set")
	}
	for i, entry := range a.Pool {
		if _, err := parseRange(string(entry)); err != nil {
			return newProblem(fleetv1alpha1.ReasonInvalid, "spec.addresses.pool[%d]: %s %v", i, entry, err)
		}
	}
	for i, value := range a.Shared {
		if _, ok := bindable(value); !ok {
			return newProblem(fleetv1alpha1.ReasonInvalid,
				"spec.addresses.shared[%d]: %s is not an address that a Gateway can be reached at; use a unicast address without a zone", i, value)
		}
	}
	return nil
}

// invalidBindAddress finds what no socket can be bound to. All zeros is for every address of a family.
func invalidBindAddress(value *string) *Problem {
	if value == nil {
		return nil
	}
	ip, err := netip.ParseAddr(*value)
	if err == nil && (ip.Zone() != "" || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255})) {
		err = errors.New("not for listeners")
	}
	if err != nil {
		return newProblem(fleetv1alpha1.ReasonInvalid,
			"spec.bindAddress: %s is not an address that listeners can bind; use a unicast address without a zone, or 0.0.0.0 or :: for every one", *value)
	}
	return nil
}

// poolOf returns the pool of a valid EnvoyFleet; nil if it has none.
func poolOf(fleet *fleetv1alpha1.EnvoyFleet) pool {
	if fleet.Spec.Addresses == nil {
		return nil
	}
	var p pool
	for _, entry := range fleet.Spec.Addresses.Pool {
		if r, err := parseRange(string(entry)); err == nil {
			p = append(p, r)
		}
	}
	return p
}

// collectorOf returns the Service that the spans of a fleet are sent to; false if they are sent to none.
func collectorOf(fleet *fleetv1alpha1.EnvoyFleet) (BackendKey, bool) {
	if fleet.Spec.Tracing == nil {
		return BackendKey{}, false
	}
	otel := fleet.Spec.Tracing.OpenTelemetry
	return ServiceBackend(types.NamespacedName{Namespace: fleet.Namespace, Name: otel.Service}, cmp.Or(otel.Port, otlpPort)), true
}

// collector finds the port of a Service that spans are sent to: "the Service of the collector of traces, or its port, doesn't
// exist" (ReasonRefNotFound); and invalidTLSPolicy. It is nil if there is a problem, or nothing to be sent.
func (g *Graph) collector(fleet *fleetv1alpha1.EnvoyFleet) (*BackendFacts, *Problem) {
	key, traced := collectorOf(fleet)
	if !traced {
		return nil, nil
	}
	service := g.services[key.NamespacedName()]
	port := servicePort(service, key)
	if port == nil {
		return nil, collectorNotFound(key, service)
	}
	policy := g.tlsPolicy(key)
	if p := invalidTLSPolicy(key, policy); p != nil {
		return nil, p.in("spec.tracing.openTelemetry.service")
	}
	protocol := valueOr(port.AppProtocol, "")
	return &BackendFacts{Weight: 1, Backend: key, AppProtocol: protocol, HTTP2: isHTTP2(protocol), TLS: policy != nil}, nil
}

func collectorNotFound(key BackendKey, service *corev1.Service) *Problem {
	problem := func(field, what string) *Problem {
		return newProblem(fleetv1alpha1.ReasonRefNotFound, "spec.tracing.openTelemetry.%s: %s; no traces are sent", field, what)
	}
	switch {
	case service == nil:
		return problem("service", key.Key.String()+" does not exist")
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		return problem("service", key.Key.String()+" is of type ExternalName, which is not supported")
	}
	return problem("port", fmt.Sprintf("%s has no TCP port %d", key.Key, key.Port))
}

// fleetWarnings names what is set in the spec and does nothing, or not what it seems to.
func (g *Graph) fleetWarnings(fleet *fleetv1alpha1.EnvoyFleet) []string {
	var warnings []string
	for i, s := range fleet.Spec.Nodes {
		if first := slices.IndexFunc(fleet.Spec.Nodes, func(o fleetv1alpha1.NodeSelector) bool { return reflect.DeepEqual(o, s) }); first < i {
			warnings = append(warnings, fmt.Sprintf("spec.nodes[%d] has no effect: it is the same as spec.nodes[%d]", i, first))
		}
		for _, pattern := range []struct {
			field string
			value *string
		}{{"id", s.ID}, {"cluster", s.Cluster}} {
			if at := strings.IndexByte(valueOr(pattern.value, ""), '*'); at >= 0 && at < len(*pattern.value)-1 {
				warnings = append(warnings, fmt.Sprintf(`spec.nodes[%d].%s: only a "*" at the end stands for something else; others are taken literally`, i, pattern.field))
			}
		}
	}
	if a := fleet.Spec.Addresses; a != nil {
		for i, value := range a.Shared {
			if ip, ok := bindable(value); ok && len(distinct(a.Shared[:i])) == len(distinct(a.Shared[:i+1])) {
				warnings = append(warnings, fmt.Sprintf("spec.addresses.shared[%d] has no effect: %s is there before", i, ip))
			}
		}
	}
	return append(warnings, g.poolWarnings(fleet)...)
}

// tracingWarnings: the spans are those of requests, which listeners for TLS, TCP and UDP don't read.
func (g *Graph) tracingWarnings(fleet *fleetv1alpha1.EnvoyFleet) []string {
	gateways := g.gatewaysByFleet[namespacedName(fleet)]
	if fleet.Spec.Tracing == nil || len(gateways) == 0 {
		return nil
	}
	for name := range gateways {
		if slices.ContainsFunc(g.gateways[name].facts.Listeners, (*ListenerFacts).readsHTTP) {
			return nil
		}
	}
	return []string{"spec.tracing has no effect: no Gateway of the EnvoyFleet has an HTTP or HTTPS listener, and connections and packets have no spans"}
}

// poolWarnings says what addresses of a pool are there twice, here or in other EnvoyFleets.
func (g *Graph) poolWarnings(fleet *fleetv1alpha1.EnvoyFleet) []string {
	var warnings []string
	own := poolOf(fleet)
	if fleet.Spec.Addresses == nil || len(own) < len(fleet.Spec.Addresses.Pool) {
		return nil
	}
	for i, r := range own {
		for j, o := range own[:i] {
			if r.overlaps(o) {
				warnings = append(warnings, fmt.Sprintf("spec.addresses.pool[%d] has addresses of spec.addresses.pool[%d]: they are there once", i, j))
			}
		}
	}
	if fleet.Spec.MergeGateways && (len(own) > 1 || len(own) == 1 && own[0].first != own[0].last) {
		warnings = append(warnings, "spec.addresses.pool: the Gateways of a fleet with mergeGateways share one address, which is the first unless they have or ask for another one")
	}
	var others []string
	for name, node := range g.fleets {
		if name != namespacedName(fleet) && slices.ContainsFunc(node.pool, func(r addressRange) bool { return slices.ContainsFunc(own, r.overlaps) }) {
			others = append(others, name.String())
		}
	}
	if len(others) > 0 {
		slices.Sort(others)
		warnings = append(warnings, "spec.addresses.pool has addresses that are in the pool of EnvoyFleet "+strings.Join(others, ", ")+
			" too: each gives them to Gateways of its own, so both may have the same address")
	}
	return warnings
}
