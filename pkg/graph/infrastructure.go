package graph

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// ConditionProvisioningFailed is the type of the condition of a Gateway that says what is in the way of the objects that it is to have in
// the cluster; it isn't there when nothing is. Whoever makes the objects writes it. All replicas read it from there, so
// that they agree on whether the Gateway is programmed.
const ConditionProvisioningFailed = "gateway-apiserver.dev/ProvisioningFailed"

// The reasons of ConditionProvisioningFailed.
const (
	// ReasonForbidden is that of what kube-apiserver doesn't let the server do.
	ReasonForbidden = "Forbidden"
	// ReasonInvalid is that of an object that kube-apiserver finds something wrong with.
	ReasonInvalid = "Invalid"
	// ReasonAddressNotUsable is that of a Service that can't have the addresses of spec.addresses.
	ReasonAddressNotUsable = string(gwv1.GatewayReasonAddressNotUsable)
	// ReasonConflict is that of an object of the same name that is somebody else's.
	ReasonConflict = "Conflict"
)

// maxServiceName is how long the name of a Service may be: it is a DNS label.
const maxServiceName = 63

// EnableProvisioning has Gateways get what their EnvoyFleet's spec.provisioning says. Without it, their status says that they
// don't. It has to be called before there is any object in the graph.
func (g *Graph) EnableProvisioning() { g.provisions = true }

// Infrastructure returns what a Gateway is to have in the cluster; nil if nothing. If known is false, nobody can tell, and
// what there is has to stay: what a mistake in a class or in parameters would delete, such as the address that a load
// balancer was given, would not come back when the mistake is mended. What a Gateway had that is gone, the cluster's garbage
// collector deletes.
func (g *Graph) Infrastructure(name types.NamespacedName) (wanted *Infrastructure, known bool) {
	node := g.gateways[name]
	if node == nil {
		return nil, false
	}
	return node.facts.wantedInfrastructure()
}

// wantedInfrastructure is Infrastructure of a Gateway with these facts; one that isn't there, or wasn't yet, has nothing.
func (f *GatewayFacts) wantedInfrastructure() (wanted *Infrastructure, known bool) {
	switch {
	case f != nil && f.ClassMissing:
		return nil, false
	case f == nil || !f.Managed:
		return nil, true
	case f.Infrastructure != nil:
		return f.Infrastructure.Wanted, f.Infrastructure.Wanted != nil
	}
	return nil, f.Unaccepted == nil || f.Unaccepted.Reason != string(gwv1.GatewayReasonInvalidParameters)
}

// Provisioned returns the Gateways that are to have something in the cluster, sorted.
func (g *Graph) Provisioned() []types.NamespacedName {
	var names []types.NamespacedName
	for name, node := range g.gateways {
		if wanted, _ := node.facts.wantedInfrastructure(); wanted != nil {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, compareNames)
	return names
}

// sameInfrastructure says whether a Gateway is to have the same in two states.
func sameInfrastructure(a, b *GatewayFacts) bool {
	wantedA, knownA := a.wantedInfrastructure()
	wantedB, knownB := b.wantedInfrastructure()
	return knownA == knownB && reflect.DeepEqual(wantedA, wantedB)
}

// sameForInfrastructure compares what the facts about infrastructure depend on besides the spec.
func sameForInfrastructure(a, b *gwv1.Gateway) bool {
	return a.UID == b.UID && reflect.DeepEqual(provisioningFailed(a), provisioningFailed(b))
}

// provisioned says whether a Gateway gets its Envoys, and so its addresses, from provisioning.
func (f *GatewayFacts) provisioned() bool {
	return f.Fleet != nil && f.Fleet.Object.Spec.Provisioning != nil
}

// infrastructureOf finds what is true of the objects of a Gateway whose other facts are known; nil if it is to have none.
// Nothing of it takes the Gateway's listeners out of service: Envoys that run get their configuration, whatever is in the
// way of others.
func (g *Graph) infrastructureOf(f *GatewayFacts) *InfrastructureFacts {
	if !f.provisioned() {
		return nil
	}
	gw := f.Object
	name := infrastructureName(gw.Name, string(gw.Spec.GatewayClassName))
	service := g.services[types.NamespacedName{Namespace: gw.Namespace, Name: name}]
	if service != nil && !isOwned(service, gw) {
		service = nil
	}
	i := &InfrastructureFacts{Addresses: serviceAddresses(service)}
	if i.Unprogrammed = g.notProvisioning(f.Fleet); i.Unprogrammed != nil {
		return i
	}
	ports := infrastructurePorts(f.Listeners)
	if f.Unaccepted != nil || len(ports) == 0 {
		return i // which is why it isn't programmed
	}
	i.Wanted = newInfrastructure(f, name, ports)
	i.Failed = provisioningFailed(gw)
	i.Unprogrammed = firstProblem(noResources(i.Failed), serviceAddressNotAssigned(i, service), serviceAddressNotUsable(i))
	return i
}

// HasFailed says whether the status of the Gateway says that something is in the way, and just that; nil for nothing.
func (i *InfrastructureFacts) HasFailed(problem *Problem) bool {
	return reflect.DeepEqual(i.Failed, problem)
}

func newInfrastructure(f *GatewayFacts, name string, ports []InfrastructurePort) *Infrastructure {
	gw, fleet := f.Object, f.Fleet.Object.Spec
	i := &Infrastructure{
		Gateway:      namespacedName(gw),
		UID:          gw.UID,
		Class:        string(gw.Spec.GatewayClassName),
		Name:         name,
		Ports:        ports,
		Addresses:    boundAddresses(gw),
		BindAddress:  valueOr(fleet.BindAddress, ""),
		Provisioning: *fleet.Provisioning,
	}
	if infra := gw.Spec.Infrastructure; infra != nil {
		i.Labels, i.Annotations = stringMap(infra.Labels), stringMap(infra.Annotations)
	}
	return i
}

func stringMap[K, V ~string](from map[K]V) map[string]string {
	if len(from) == 0 {
		return nil
	}
	to := make(map[string]string, len(from))
	for k, v := range from {
		to[string(k)] = string(v)
	}
	return to
}

// infrastructureName: implementations "SHOULD name all generated resources my-gateway-example (<NAME>-<GATEWAY CLASS>)"
// (GEP-1762). What makes no name of a Service is changed, and told apart from other names by a hash.
func infrastructureName(gateway, class string) string {
	name := gateway + "-" + class
	label := strings.ReplaceAll(name, ".", "-")
	if label[0] < 'a' || label[0] > 'z' { // RFC 1035: a letter comes first
		label = "gateway-" + label
	}
	if label == name && len(name) <= maxServiceName {
		return name
	}
	return hashed(label, name, maxServiceName)
}

// ShortName returns a name if it has at most max bytes, and otherwise what is left of it with a hash.
func ShortName(name string, max int) string {
	if len(name) <= max {
		return name
	}
	return hashed(name, name, max)
}

// hashed returns as much of text as fits into max bytes with a hash of what it stands for.
func hashed(text, of string, max int) string {
	sum := sha256.Sum256([]byte(of))
	hash := "-" + hex.EncodeToString(sum[:])[:10]
	return strings.TrimRight(text[:min(len(text), max-len(hash))], "-.") + hash
}

// infrastructurePorts are those of the listeners that are valid, also of those that wait for a certificate: it comes and goes
// without a load balancer having to open and close a port.
func infrastructurePorts(listeners []*ListenerFacts) []InfrastructurePort {
	var ports []InfrastructurePort
	for _, l := range listeners {
		if l.Conflict != nil || l.Unaccepted != nil {
			continue
		}
		protocol := corev1.ProtocolTCP
		if l.Spec.Protocol == gwv1.UDPProtocolType {
			protocol = corev1.ProtocolUDP
		}
		ports = append(ports, InfrastructurePort{Port: int32(l.Spec.Port), Protocol: protocol})
	}
	return sorted(ports, func(a, b InfrastructurePort) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
}

// IsGatewayReference says whether an ownerReference is to a Gateway.
func IsGatewayReference(owner metav1.OwnerReference) bool {
	group, _, _ := strings.Cut(owner.APIVersion, "/")
	return group == gwv1.GroupName && Kind(owner.Kind) == KindGateway
}

// isOwned says whether a Gateway is the controller of an object.
func isOwned(object metav1.Object, gw *gwv1.Gateway) bool {
	owner := metav1.GetControllerOfNoCopy(object)
	return owner != nil && IsGatewayReference(*owner) && owner.Name == gw.Name && owner.UID == gw.UID
}

// maxAddresses is the maxItems of a Gateway's status.addresses.
const maxAddresses = 16

// serviceAddresses are where a Service is reached: at those of its load balancer, or else at its cluster IPs. One of type
// ExternalName, which only somebody else can have made of it, leads elsewhere.
func serviceAddresses(service *corev1.Service) []gwv1.GatewayStatusAddress {
	var addresses []gwv1.GatewayStatusAddress
	add := func(of gwv1.AddressType, value string) {
		if value != "" && len(addresses) < maxAddresses {
			addresses = append(addresses, gwv1.GatewayStatusAddress{Type: &of, Value: value})
		}
	}
	switch {
	case service == nil:
	case service.Spec.Type == corev1.ServiceTypeLoadBalancer:
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			add(gwv1.IPAddressType, ingress.IP)
			add(gwv1.HostnameAddressType, ingress.Hostname)
		}
	case service.Spec.Type != corev1.ServiceTypeExternalName:
		for _, ip := range service.Spec.ClusterIPs {
			if ip != corev1.ClusterIPNone {
				add(gwv1.IPAddressType, ip)
			}
		}
	}
	return addresses
}

// notProvisioning: "the Gateway is not scheduled because insufficient infrastructure resources are available"
// (GatewayReasonNoResources): this server can't make any.
func (g *Graph) notProvisioning(fleet *EnvoyFleetFacts) *Problem {
	if g.provisions {
		return nil
	}
	return newProblem(gwv1.GatewayReasonNoResources, "%s has spec.provisioning, and this server makes no objects: in a cluster, "+
		"\"gateway-apiserver install --provisioning\" has it do so; elsewhere, remove spec.provisioning and run Envoys yourself",
		fleetKey(namespacedName(fleet.Object)))
}

// noResources: as notProvisioning, because something is in the way; or as addressNotUsable.
func noResources(failed *Problem) *Problem {
	switch {
	case failed == nil:
		return nil
	case failed.Reason == ReasonAddressNotUsable:
		return failed
	}
	return newProblem(gwv1.GatewayReasonNoResources, "%s", failed.Message)
}

// serviceAddressNotAssigned: "the underlying implementation and network have yet to dynamically assign addresses for a
// Gateway. Some example situations where this reason can be used: IPAM address exhaustion; address not yet allocated"
// (GatewayReasonAddressNotAssigned).
func serviceAddressNotAssigned(i *InfrastructureFacts, service *corev1.Service) *Problem {
	title := Key{Kind: KindService, Namespace: i.Wanted.Gateway.Namespace, Name: i.Wanted.Name}
	switch {
	case len(i.Addresses) > 0:
		return nil
	case service == nil:
		return newProblem(gwv1.GatewayReasonAddressNotAssigned, "%s is still to be made", title)
	case service.Spec.Type == corev1.ServiceTypeLoadBalancer:
		return newProblem(gwv1.GatewayReasonAddressNotAssigned,
			"%s has no address yet: the cluster's controller of load balancers has to give it one; if there is none, "+
				"set spec.provisioning.serviceType of the EnvoyFleet to ClusterIP or NodePort", title)
	}
	return newProblem(gwv1.GatewayReasonAddressNotAssigned, "%s, of type %s, has no address", title, service.Spec.Type)
}

// serviceAddressNotUsable: as addressNotUsable, where the Service has got other addresses than those of spec.addresses.
func serviceAddressNotUsable(i *InfrastructureFacts) *Problem {
	for _, wanted := range i.Wanted.Addresses {
		if !slices.ContainsFunc(i.Addresses, func(a gwv1.GatewayStatusAddress) bool { return a.Value == wanted }) {
			return newProblem(gwv1.GatewayReasonAddressNotUsable, "spec.addresses: %s has not got %s",
				Key{Kind: KindService, Namespace: i.Wanted.Gateway.Namespace, Name: i.Wanted.Name}, wanted)
		}
	}
	return nil
}

// provisioningFailed reads ConditionProvisioningFailed.
func provisioningFailed(gw *gwv1.Gateway) *Problem {
	c := meta.FindStatusCondition(gw.Status.Conditions, ConditionProvisioningFailed)
	if c == nil || c.Status != metav1.ConditionTrue {
		return nil
	}
	return &Problem{Reason: c.Reason, Message: c.Message}
}

// InfrastructureConflict says that an object is in the way of one of a Gateway's; title is what it is, such as
// "Service default/web-example".
func InfrastructureConflict(title string) *Problem {
	return newProblem(ReasonConflict, "%s is there, and isn't the Gateway's: delete it, or give the Gateway another name", title)
}

// infrastructureWarnings name what of spec.infrastructure does nothing: "Labels that SHOULD be applied to any resources
// created in response to this Gateway."
func (g *Graph) infrastructureWarnings(f *GatewayFacts) []string {
	infra := f.Object.Spec.Infrastructure
	if infra == nil {
		return nil
	}
	var warnings []string
	why := ""
	switch {
	case !f.provisioned():
		why = "no objects are created for a Gateway without an EnvoyFleet that has spec.provisioning"
	case !g.provisions:
		why = "this server creates no objects"
	}
	if why != "" {
		if len(infra.Labels) > 0 {
			warnings = append(warnings, "spec.infrastructure.labels has no effect: "+why)
		}
		if len(infra.Annotations) > 0 {
			warnings = append(warnings, "spec.infrastructure.annotations has no effect: "+why)
		}
		return warnings
	}
	for _, label := range ReservedLabels() {
		if _, ok := infra.Labels[gwv1.LabelKey(label)]; ok {
			warnings = append(warnings, "spec.infrastructure.labels["+label+"] has no effect: it says whose the objects are")
		}
	}
	return warnings
}

// ManagedByLabel is the label by which the objects of Gateways are told from others.
const ManagedByLabel = "app.kubernetes.io/managed-by"

// ReservedLabels are the labels of the objects of a Gateway that spec.infrastructure.labels doesn't change.
func ReservedLabels() []string {
	return []string{ManagedByLabel, gwv1.GatewayClassNameLabelKey, gwv1.GatewayNameLabelKey}
}

// infrastructureChanged looks again at the Gateway that a Service belongs to, in either of its states.
func (g *Graph) infrastructureChanged(before, after *corev1.Service, d *Dirty) {
	if before != nil && after != nil && before.Spec.Type == after.Spec.Type &&
		reflect.DeepEqual(before.OwnerReferences, after.OwnerReferences) && reflect.DeepEqual(serviceAddresses(before), serviceAddresses(after)) {
		return
	}
	for _, service := range []*corev1.Service{before, after} {
		if service == nil {
			continue
		}
		owner := metav1.GetControllerOfNoCopy(service)
		if owner == nil || !IsGatewayReference(*owner) {
			continue
		}
		node := g.gateways[types.NamespacedName{Namespace: service.Namespace, Name: owner.Name}]
		if node != nil && node.facts.Infrastructure != nil {
			g.refreshScope(node.scope, d)
		}
	}
}
