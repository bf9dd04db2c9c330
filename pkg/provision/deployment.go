package provision

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/bootstrap"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/identity"
)

const (
	// configHash is an annotation of the Pods, by which they are replaced when the ConfigMap changes: an Envoy reads its
	// bootstrap when it starts.
	configHash = "gateway-apiserver.dev/config-hash"

	configDir = "/etc/envoy"

	// tokenDir has the token by which the Envoy shows the xDS server whose it is. The kubelet renews it.
	tokenDir  = "/var/run/secrets/gateway-apiserver.dev/xds"
	tokenFile = "token"
	// tokenSeconds is how long a token is valid. The shorter, the sooner one is useless that somebody has read.
	tokenSeconds = 3600

	// user is nonroot in distroless images.
	user = 65532

	// drainSeconds is how long an Envoy that is to stop still serves, while whoever follows the endpoints of the Service
	// takes new connections elsewhere, and requests come to their end. Envoy itself stops at once when it is told to.
	drainSeconds = 30
	// graceSeconds is when the kubelet kills it.
	graceSeconds = drainSeconds + 15
)

func (r renderer) deployment(config *corev1ac.ConfigMapApplyConfiguration) *appsv1ac.DeploymentApplyConfiguration {
	spec := appsv1ac.DeploymentSpec().
		WithSelector(metav1ac.LabelSelector().WithMatchLabels(r.selector())).
		WithStrategy(appsv1ac.DeploymentStrategy().WithType("RollingUpdate").WithRollingUpdate(
			appsv1ac.RollingUpdateDeployment().WithMaxUnavailable(intstr.FromInt32(0)).WithMaxSurge(intstr.FromInt32(1)))).
		WithTemplate(corev1ac.PodTemplateSpec().
			WithLabels(r.labels()).WithAnnotations(r.Annotations).WithAnnotations(map[string]string{configHash: hashOf(config.Data)}).
			WithSpec(r.pod()))
	if replicas := r.Provisioning.Replicas; replicas != nil {
		spec.WithReplicas(*replicas)
	}
	return appsv1ac.Deployment(r.Name, r.Gateway.Namespace).
		WithLabels(r.labels()).WithAnnotations(r.Annotations).WithOwnerReferences(r.owner()).
		WithSpec(spec)
}

// hashOf returns the same for the same entries.
func hashOf(data map[string]string) string {
	hash := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(data)) {
		fmt.Fprintf(hash, "%d %s %d %s", len(key), key, len(data[key]), data[key])
	}
	return hex.EncodeToString(hash.Sum(nil))[:16]
}

// pod conforms to the restricted Pod Security Standard. The sysctl, which that allows, lets Envoy bind ports below 1024
// without a capability.
func (r renderer) pod() *corev1ac.PodSpecApplyConfiguration {
	spread := func(topology string) *corev1ac.TopologySpreadConstraintApplyConfiguration {
		return corev1ac.TopologySpreadConstraint().
			WithMaxSkew(1).WithTopologyKey(topology).WithWhenUnsatisfiable(corev1.ScheduleAnyway).
			WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(r.selector())).
			WithMatchLabelKeys("pod-template-hash")
	}
	return corev1ac.PodSpec().
		WithServiceAccountName(r.Name).WithAutomountServiceAccountToken(false).
		WithSecurityContext(corev1ac.PodSecurityContext().
			WithRunAsNonRoot(true).WithRunAsUser(user).WithRunAsGroup(user).
			WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault)).
			WithSysctls(corev1ac.Sysctl().WithName("net.ipv4.ip_unprivileged_port_start").WithValue("0"))).
		WithTopologySpreadConstraints(spread(corev1.LabelHostname), spread(corev1.LabelTopologyZone)).
		WithTerminationGracePeriodSeconds(graceSeconds).
		WithVolumes(
			corev1ac.Volume().WithName("config").WithConfigMap(corev1ac.ConfigMapVolumeSource().WithName(r.Name)),
			corev1ac.Volume().WithName("token").WithProjected(corev1ac.ProjectedVolumeSource().WithSources(corev1ac.VolumeProjection().
				WithServiceAccountToken(corev1ac.ServiceAccountTokenProjection().
					WithAudience(identity.Audience).WithExpirationSeconds(tokenSeconds).WithPath(tokenFile))))).
		WithContainers(r.envoy())
}

func (r renderer) envoy() *corev1ac.ContainerApplyConfiguration {
	field := func(name, path string) *corev1ac.EnvVarApplyConfiguration {
		return corev1ac.EnvVar().WithName(name).WithValueFrom(corev1ac.EnvVarSource().WithFieldRef(
			corev1ac.ObjectFieldSelector().WithAPIVersion("v1").WithFieldPath(path)))
	}
	resources := corev1ac.ResourceRequirements()
	if limits := r.Provisioning.Resources.Limits; len(limits) > 0 {
		resources.WithLimits(limits)
	}
	if requests := r.Provisioning.Resources.Requests; len(requests) > 0 {
		resources.WithRequests(requests)
	}
	for _, claim := range r.Provisioning.Resources.Claims {
		resources.WithClaims(corev1ac.ResourceClaim().WithName(claim.Name).WithRequest(claim.Request))
	}
	c := corev1ac.Container().
		WithName("envoy").WithImage(r.Provisioning.Image).
		WithArgs(
			"--config-path", configDir+"/"+bootstrapKey,
			"--service-node", "$(POD_NAMESPACE)/$(POD_NAME)",
			"--log-level", "warn",
			"--disable-hot-restart", // it needs shared memory, and a new Pod replaces an old one here
		).
		WithEnv(field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace")).
		WithReadinessProbe(corev1ac.Probe().
			WithHTTPGet(corev1ac.HTTPGetAction().
				WithPath(bootstrap.ReadinessPath).WithPort(intstr.FromInt32(int32(r.readinessPort()))).WithScheme(corev1.URISchemeHTTP)).
			WithPeriodSeconds(5).WithTimeoutSeconds(2).WithFailureThreshold(3)).
		WithLifecycle(corev1ac.Lifecycle().WithPreStop(
			corev1ac.LifecycleHandler().WithSleep(corev1ac.SleepAction().WithSeconds(drainSeconds)))).
		WithResources(resources).
		WithSecurityContext(corev1ac.SecurityContext().
			WithAllowPrivilegeEscalation(false).WithReadOnlyRootFilesystem(true).WithRunAsNonRoot(true).
			WithCapabilities(corev1ac.Capabilities().WithDrop("ALL"))).
		WithVolumeMounts(
			corev1ac.VolumeMount().WithName("config").WithMountPath(configDir).WithReadOnly(true),
			corev1ac.VolumeMount().WithName("token").WithMountPath(tokenDir).WithReadOnly(true)).
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError)
	for _, p := range r.Ports {
		c.WithPorts(corev1ac.ContainerPort().WithContainerPort(p.Port).WithProtocol(p.Protocol))
	}
	return c
}
