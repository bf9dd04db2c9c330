package provision

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/bootstrap"
)

// managedBy is the value of graph.ManagedByLabel, which all objects have besides the labels of GEP-1762.
const managedBy = "gateway-apiserver"

// XDS is where Envoys get their configuration.
type XDS struct {
	bootstrap.Address
	// CA are the certificates by which the server is verified, in PEM.
	CA []byte
}

// Object is one that can be applied.
type Object struct {
	Resource Resource
	// Apply is a pointer to an apply configuration of k8s.io/client-go, with the fields that are ours to say.
	Apply any
}

// Objects returns what a Gateway is to have, each object after those that it needs.
func Objects(wanted *graph.Infrastructure, xds XDS) ([]Object, error) {
	r := renderer{Infrastructure: wanted, xds: xds}
	config, err := r.configMap()
	if err != nil {
		return nil, err
	}
	objects := []Object{
		{ServiceAccounts, r.serviceAccount()},
		{Roles, r.role()},
		{RoleBindings, r.roleBinding()},
		{ConfigMaps, config},
		{Deployments, r.deployment(config)},
	}
	if replicas := wanted.Provisioning.Replicas; replicas != nil && *replicas > 1 {
		objects = append(objects, Object{PodDisruptionBudgets, r.disruptionBudget()})
	}
	return append(objects, Object{Services, r.service()}), nil
}

// renderer renders the objects of a Gateway.
type renderer struct {
	*graph.Infrastructure
	xds XDS
}

// labels are those of all objects. What GEP-1762 and we say comes before what the user says: it is how the objects are
// found.
func (r renderer) labels() map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, r.Labels)
	maps.Copy(labels, r.selector())
	labels[graph.ManagedByLabel] = managedBy
	return labels
}

// selector matches the Pods, and never changes for objects of one name: selectors of Deployments are immutable.
func (r renderer) selector() map[string]string {
	return map[string]string{
		gwv1.GatewayNameLabelKey:      GatewayLabel(r.Gateway.Name),
		gwv1.GatewayClassNameLabelKey: graph.ShortName(r.Class, maxLabel),
	}
}

// maxLabel is how long the value of a label may be.
const maxLabel = 63

// GatewayLabel returns the value of the label gateway.networking.k8s.io/gateway-name of the objects of a Gateway: its name,
// or if that is longer than a label may be, what is left of it with a hash.
func GatewayLabel(name string) string { return graph.ShortName(name, maxLabel) }

func (r renderer) owner() *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(gwv1.GroupVersion.String()).WithKind("Gateway").
		WithName(r.Gateway.Name).WithUID(r.UID).WithController(true)
}

func (r renderer) serviceAccount() *corev1ac.ServiceAccountApplyConfiguration {
	return corev1ac.ServiceAccount(r.Name, r.Gateway.Namespace).
		WithLabels(r.labels()).WithAnnotations(r.Annotations).WithOwnerReferences(r.owner()).
		WithAutomountServiceAccountToken(false) // an Envoy has nothing to say to kube-apiserver
}

// role lets the xDS server give the configuration of the Gateway, and nothing else, to who shows a token of the ServiceAccount.
func (r renderer) role() *rbacv1ac.RoleApplyConfiguration {
	return rbacv1ac.Role(r.Name, r.Gateway.Namespace).
		WithLabels(r.labels()).WithAnnotations(r.Annotations).WithOwnerReferences(r.owner()).
		WithRules(rbacv1ac.PolicyRule().
			WithAPIGroups(gwv1.GroupName).WithResources("gateways/xds").WithResourceNames(r.Gateway.Name).WithVerbs("get"))
}

func (r renderer) roleBinding() *rbacv1ac.RoleBindingApplyConfiguration {
	return rbacv1ac.RoleBinding(r.Name, r.Gateway.Namespace).
		WithLabels(r.labels()).WithAnnotations(r.Annotations).WithOwnerReferences(r.owner()).
		WithRoleRef(rbacv1ac.RoleRef().WithAPIGroup(rbacv1.GroupName).WithKind("Role").WithName(r.Name)).
		WithSubjects(rbacv1ac.Subject().WithKind(rbacv1.ServiceAccountKind).WithName(r.Name).WithNamespace(r.Gateway.Namespace))
}

// Keys of the ConfigMap, which are files for the Envoy.
const (
	bootstrapKey = "envoy.yaml"
	caKey        = "ca.crt"
)

func (r renderer) configMap() (*corev1ac.ConfigMapApplyConfiguration, error) {
	options := bootstrap.Options{
		Gateway:   r.Gateway.String(),
		NodeID:    r.Gateway.String(), // each Pod says its own
		Server:    r.xds.Address,
		Admin:     bootstrap.Address{Host: "127.0.0.1", Port: r.adminPort()},
		Readiness: &bootstrap.Address{Host: cmp.Or(r.BindAddress, "::"), Port: r.readinessPort()},
	}
	options.TLS = &bootstrap.TLS{CA: configDir + "/" + caKey, Token: tokenDir + "/" + tokenFile}
	config, err := bootstrap.New(options)
	if err != nil {
		return nil, err
	}
	file, err := bootstrap.YAML(config)
	if err != nil {
		return nil, err
	}
	return corev1ac.ConfigMap(r.Name, r.Gateway.Namespace).
		WithLabels(r.labels()).WithAnnotations(r.Annotations).WithOwnerReferences(r.owner()).
		WithData(map[string]string{bootstrapKey: string(file), caKey: string(r.xds.CA)}), nil
}

// adminPort and readinessPort are of the Envoy itself: the first ones from 19000 that no listener of the Gateway has.
func (r renderer) adminPort() uint16     { return r.freePorts()[0] }
func (r renderer) readinessPort() uint16 { return r.freePorts()[1] }

func (r renderer) freePorts() (free [2]uint16) {
	port := int32(19000)
	for i := range free {
		for slices.ContainsFunc(r.Ports, func(p graph.InfrastructurePort) bool { return p.Port == port }) {
			port++
		}
		free[i] = uint16(port)
		port++
	}
	return free
}

func (r renderer) service() *corev1ac.ServiceApplyConfiguration {
	spec := corev1ac.ServiceSpec().
		WithType(r.Provisioning.ServiceType).
		WithIPFamilyPolicy(corev1.IPFamilyPolicyPreferDualStack).
		WithSelector(r.selector())
	for _, p := range r.Ports {
		spec.WithPorts(corev1ac.ServicePort().
			WithName(portName(p)).WithPort(p.Port).WithTargetPort(intstr.FromInt32(p.Port)).WithProtocol(p.Protocol))
	}
	// "For implementations using a Service, this means the clusterIP or loadBalancerIP (depending on the Service type)."
	switch {
	case len(r.Addresses) == 0:
	case r.Provisioning.ServiceType == corev1.ServiceTypeLoadBalancer:
		spec.WithLoadBalancerIP(r.Addresses[0])
	default:
		spec.WithClusterIP(r.Addresses[0]).WithClusterIPs(r.Addresses...)
	}
	return corev1ac.Service(r.Name, r.Gateway.Namespace).
		WithLabels(r.labels()).WithAnnotations(r.Annotations).WithOwnerReferences(r.owner()).
		WithSpec(spec)
}

// portName is unique among the ports of a Service: "tcp-80".
func portName(p graph.InfrastructurePort) string {
	protocol := "tcp"
	if p.Protocol == corev1.ProtocolUDP {
		protocol = "udp"
	}
	return fmt.Sprintf("%s-%d", protocol, p.Port)
}

// disruptionBudget has nodes drained one Envoy at a time.
func (r renderer) disruptionBudget() *policyv1ac.PodDisruptionBudgetApplyConfiguration {
	return policyv1ac.PodDisruptionBudget(r.Name, r.Gateway.Namespace).
		WithLabels(r.labels()).WithAnnotations(r.Annotations).WithOwnerReferences(r.owner()).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().
			WithMaxUnavailable(intstr.FromInt32(1)).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(r.selector())))
}
