package core

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var (
	serviceTypes     = sets.New(corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName)
	protocols        = sets.New(corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
	affinities       = sets.New(corev1.ServiceAffinityNone, corev1.ServiceAffinityClientIP)
	internalPolicies = sets.New(corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)
	externalPolicies = sets.New(corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)
)

// maxAffinitySeconds is a day, the longest that session affinity by client IP lasts.
const maxAffinitySeconds = 24 * 60 * 60

func validateService(svc *corev1.Service) field.ErrorList {
	path, spec := field.NewPath("spec"), &svc.Spec
	errs := validateServiceType(spec, path)
	errs = append(errs, validateServicePorts(spec, path.Child("ports"))...)
	errs = append(errs, validateClusterIPs(spec, path)...)
	errs = append(errs, metav1validation.ValidateLabels(spec.Selector, path.Child("selector"))...)
	errs = append(errs, validateAffinity(spec, path)...)
	for i, ip := range spec.ExternalIPs {
		errs = append(errs, utilvalidation.IsValidIP(path.Child("externalIPs").Index(i), ip)...)
	}
	if policy := spec.InternalTrafficPolicy; policy != nil && !internalPolicies.Has(*policy) {
		errs = append(errs, field.NotSupported(path.Child("internalTrafficPolicy"), *policy, sets.List(internalPolicies)))
	}
	if policy := spec.ExternalTrafficPolicy; policy != "" && !externalPolicies.Has(policy) {
		errs = append(errs, field.NotSupported(path.Child("externalTrafficPolicy"), policy, sets.List(externalPolicies)))
	}
	return errs
}

func validateServiceType(spec *corev1.ServiceSpec, path *field.Path) field.ErrorList {
	if !serviceTypes.Has(spec.Type) {
		return field.ErrorList{field.NotSupported(path.Child("type"), spec.Type, sets.List(serviceTypes))}
	}
	if spec.Type != corev1.ServiceTypeExternalName {
		return nil
	}
	var errs field.ErrorList
	name := strings.TrimSuffix(spec.ExternalName, ".")
	if name == "" {
		errs = append(errs, field.Required(path.Child("externalName"), ""))
	} else {
		errs = append(errs, each(path.Child("externalName"), spec.ExternalName, utilvalidation.IsDNS1123Subdomain(name))...)
	}
	if spec.ClusterIP != "" {
		errs = append(errs, field.Forbidden(path.Child("clusterIP"), "may not be set when `type` is 'ExternalName'"))
	}
	return errs
}

func validateServicePorts(spec *corev1.ServiceSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	headless := spec.ClusterIP == corev1.ClusterIPNone
	if len(spec.Ports) == 0 && !headless && spec.Type != corev1.ServiceTypeExternalName {
		errs = append(errs, field.Required(path, ""))
	}
	type endpoint struct {
		Protocol corev1.Protocol
		Port     int32
	}
	names, ports, nodePorts := sets.Set[string]{}, sets.Set[endpoint]{}, sets.Set[endpoint]{}
	for i := range spec.Ports {
		port, path := &spec.Ports[i], path.Index(i)
		errs = append(errs, validateServicePort(port, path)...)
		switch {
		case port.Name == "":
			if len(spec.Ports) > 1 {
				errs = append(errs, field.Required(path.Child("name"), ""))
			}
		case names.Has(port.Name):
			errs = append(errs, field.Duplicate(path.Child("name"), port.Name))
		}
		names.Insert(port.Name)

		key := endpoint{port.Protocol, port.Port}
		if ports.Has(key) {
			errs = append(errs, field.Duplicate(path, corev1.ServicePort{Protocol: port.Protocol, Port: port.Port}))
		}
		ports.Insert(key)

		if port.NodePort == 0 {
			continue
		}
		if spec.Type == corev1.ServiceTypeClusterIP {
			errs = append(errs, field.Forbidden(path.Child("nodePort"), "may not be used when `type` is 'ClusterIP'"))
		}
		key.Port = port.NodePort
		if nodePorts.Has(key) {
			errs = append(errs, field.Duplicate(path.Child("nodePort"), port.NodePort))
		}
		nodePorts.Insert(key)
	}
	return errs
}

func validateServicePort(port *corev1.ServicePort, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if port.Name != "" {
		errs = append(errs, each(path.Child("name"), port.Name, utilvalidation.IsDNS1123Label(port.Name))...)
	}
	errs = append(errs, each(path.Child("port"), port.Port, utilvalidation.IsValidPortNum(int(port.Port)))...)
	if !protocols.Has(port.Protocol) {
		errs = append(errs, field.NotSupported(path.Child("protocol"), port.Protocol, sets.List(protocols)))
	}
	if target := path.Child("targetPort"); port.TargetPort.Type == intstr.Int {
		errs = append(errs, each(target, port.TargetPort.IntVal, utilvalidation.IsValidPortNum(port.TargetPort.IntValue()))...)
	} else {
		errs = append(errs, each(target, port.TargetPort.StrVal, utilvalidation.IsValidPortName(port.TargetPort.StrVal))...)
	}
	if port.AppProtocol != nil {
		errs = append(errs, each(path.Child("appProtocol"), *port.AppProtocol, utilvalidation.IsQualifiedName(*port.AppProtocol))...)
	}
	if port.NodePort != 0 {
		errs = append(errs, each(path.Child("nodePort"), port.NodePort, utilvalidation.IsValidPortNum(int(port.NodePort)))...)
	}
	return errs
}

// validateClusterIPs takes any address: there is no service network here that it would have to be in.
func validateClusterIPs(spec *corev1.ServiceSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.ClusterIP == corev1.ClusterIPNone && (spec.Type == corev1.ServiceTypeNodePort || spec.Type == corev1.ServiceTypeLoadBalancer) {
		errs = append(errs, field.Invalid(path.Child("clusterIP"), spec.ClusterIP, "may not be set to 'None' for "+string(spec.Type)+" services"))
	}
	if spec.ClusterIP != "" && spec.ClusterIP != corev1.ClusterIPNone {
		errs = append(errs, utilvalidation.IsValidIP(path.Child("clusterIP"), spec.ClusterIP)...)
	}
	if len(spec.ClusterIPs) > 0 && spec.ClusterIPs[0] != spec.ClusterIP {
		errs = append(errs, field.Invalid(path.Child("clusterIPs"), spec.ClusterIPs, "first value must match `clusterIP`"))
	}
	return errs
}

func validateAffinity(spec *corev1.ServiceSpec, path *field.Path) field.ErrorList {
	if !affinities.Has(spec.SessionAffinity) {
		return field.ErrorList{field.NotSupported(path.Child("sessionAffinity"), spec.SessionAffinity, sets.List(affinities))}
	}
	config := spec.SessionAffinityConfig
	if config == nil {
		return nil
	}
	if spec.SessionAffinity == corev1.ServiceAffinityNone {
		return field.ErrorList{field.Forbidden(path.Child("sessionAffinityConfig"), "must not be set when session affinity is None")}
	}
	if config.ClientIP == nil || config.ClientIP.TimeoutSeconds == nil {
		return nil
	}
	if seconds := *config.ClientIP.TimeoutSeconds; seconds <= 0 || seconds > maxAffinitySeconds {
		timeout := path.Child("sessionAffinityConfig", "clientIP", "timeoutSeconds")
		return field.ErrorList{field.Invalid(timeout, seconds, utilvalidation.InclusiveRangeError(1, maxAffinitySeconds))}
	}
	return nil
}

// validateServiceChange keeps a clusterIP, once set, until the type changes to or from ExternalName.
func validateServiceChange(svc, old *corev1.Service) field.ErrorList {
	if old.Spec.ClusterIP == "" || svc.Spec.ClusterIP == "" ||
		svc.Spec.Type == corev1.ServiceTypeExternalName || old.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	return validation.ValidateImmutableField(svc.Spec.ClusterIP, old.Spec.ClusterIP, field.NewPath("spec", "clusterIP"))
}

func validateServiceStatus(svc *corev1.Service) field.ErrorList {
	var errs field.ErrorList
	for i, ingress := range svc.Status.LoadBalancer.Ingress {
		path := field.NewPath("status", "loadBalancer", "ingress").Index(i)
		if ingress.IP != "" {
			errs = append(errs, utilvalidation.IsValidIP(path.Child("ip"), ingress.IP)...)
		}
		if ingress.Hostname != "" {
			errs = append(errs, each(path.Child("hostname"), ingress.Hostname, utilvalidation.IsDNS1123Subdomain(ingress.Hostname))...)
		}
	}
	return errs
}

// each makes an error of each message about one value.
func each(path *field.Path, value any, messages []string) field.ErrorList {
	var errs field.ErrorList
	for _, message := range messages {
		errs = append(errs, field.Invalid(path, value, message))
	}
	return errs
}
