package provision

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/bootstrap"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/identity"
)

func wanted(change ...func(*graph.Infrastructure)) *graph.Infrastructure {
	i := &graph.Infrastructure{
		Gateway: types.NamespacedName{Namespace: "default", Name: "web"}, UID: "uid-1", Class: "example", Name: "web-example",
		Labels:      map[string]string{"team": "blue"},
		Annotations: map[string]string{"example.com/note": "hello"},
		Ports:       []graph.InfrastructurePort{{Port: 80, Protocol: corev1.ProtocolTCP}, {Port: 443, Protocol: corev1.ProtocolTCP}},
		Provisioning: fleetv1alpha1.Provisioning{
			Image: "envoy:v1", Replicas: new(int32(2)), ServiceType: corev1.ServiceTypeLoadBalancer,
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}},
		},
	}
	for _, c := range change {
		c(i)
	}
	return i
}

// rendered are the objects as kube-apiserver decodes them.
type rendered struct {
	kinds      []string
	metas      map[string]metav1.Object
	config     corev1.ConfigMap
	deployment appsv1.Deployment
	service    corev1.Service
	budget     policyv1.PodDisruptionBudget
	account    corev1.ServiceAccount
	role       rbacv1.Role
	binding    rbacv1.RoleBinding
}

func render(t *testing.T, i *graph.Infrastructure, xds XDS) *rendered {
	t.Helper()
	objects, err := Objects(i, xds)
	if err != nil {
		t.Fatal(err)
	}
	r := &rendered{metas: map[string]metav1.Object{}}
	into := map[Resource]metav1.Object{
		ServiceAccounts: &r.account, ConfigMaps: &r.config, Deployments: &r.deployment, PodDisruptionBudgets: &r.budget, Services: &r.service,
		Roles: &r.role, RoleBindings: &r.binding,
	}
	for _, object := range objects {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object.Apply)
		if err != nil {
			t.Fatal(err)
		}
		typed := into[object.Resource]
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(content, typed, true); err != nil {
			t.Fatalf("%s: %v", object.Resource.Kind, err)
		}
		if kind := typed.(runtime.Object).GetObjectKind().GroupVersionKind(); kind.Kind != object.Resource.Kind || kind.GroupVersion() != object.Resource.GroupVersion() {
			t.Errorf("a %s says that it is a %s", object.Resource.Kind, kind)
		}
		r.kinds = append(r.kinds, object.Resource.Kind)
		r.metas[object.Resource.Kind] = typed
	}
	return r
}

var server = XDS{Address: bootstrap.Address{Host: "gateway-apiserver.system.svc", Port: 18000}}

func TestObjects(t *testing.T) {
	t.Parallel()
	r := render(t, wanted(), server)
	if diff := cmp.Diff([]string{"ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Deployment", "PodDisruptionBudget", "Service"}, r.kinds); diff != "" {
		t.Error(diff)
	}
	wantLabels := map[string]string{
		"team": "blue", "app.kubernetes.io/managed-by": "gateway-apiserver",
		"gateway.networking.k8s.io/gateway-name": "web", "gateway.networking.k8s.io/gateway-class-name": "example",
	}
	owner := []metav1.OwnerReference{{APIVersion: "gateway.networking.k8s.io/v1", Kind: "Gateway", Name: "web", UID: "uid-1", Controller: new(true)}}
	for kind, object := range r.metas {
		if object.GetNamespace() != "default" || object.GetName() != "web-example" {
			t.Errorf("%s is named %s/%s", kind, object.GetNamespace(), object.GetName())
		}
		if diff := cmp.Diff(wantLabels, object.GetLabels()); diff != "" {
			t.Errorf("labels of the %s (-want +got):\n%s", kind, diff)
		}
		if object.GetAnnotations()["example.com/note"] != "hello" {
			t.Errorf("annotations of the %s: %v", kind, object.GetAnnotations())
		}
		if diff := cmp.Diff(owner, object.GetOwnerReferences()); diff != "" {
			t.Errorf("owner of the %s (-want +got):\n%s", kind, diff)
		}
		if got := ownershipOf(object, "web", "uid-1"); got != own {
			t.Errorf("to its Gateway, the %s is %v", kind, got)
		}
		if found, err := labels.Parse(selector("web")); err != nil || !found.Matches(labels.Set(object.GetLabels())) {
			t.Errorf("%q (%v) doesn't find the %s", selector("web"), err, kind)
		}
	}
	pod := r.deployment.Spec.Template
	if diff := cmp.Diff(wantLabels, pod.Labels); diff != "" || pod.Annotations["example.com/note"] != "hello" {
		t.Errorf("annotations %v, labels (-want +got):\n%s", pod.Annotations, diff)
	}
	for what, selected := range map[string]map[string]string{
		"Deployment": r.deployment.Spec.Selector.MatchLabels, "Service": r.service.Spec.Selector, "PodDisruptionBudget": r.budget.Spec.Selector.MatchLabels,
	} {
		if len(selected) == 0 || !labels.SelectorFromSet(selected).Matches(labels.Set(pod.Labels)) {
			t.Errorf("the %s selects %v, and not its Pods", what, selected)
		}
		if _, ok := selected["team"]; ok {
			t.Errorf("the %s selects by a label that users may change: %v", what, selected)
		}
	}
	if *r.deployment.Spec.Replicas != 2 || pod.Spec.ServiceAccountName != "web-example" || *pod.Spec.AutomountServiceAccountToken || *r.account.AutomountServiceAccountToken {
		t.Errorf("deployment %+v", r.deployment.Spec)
	}
	if c := pod.Spec.Containers[0]; c.Image != "envoy:v1" || !c.Resources.Requests.Cpu().Equal(resource.MustParse("100m")) {
		t.Errorf("container %+v", c)
	}
}

// https://kubernetes.io/docs/concepts/security/pod-security-standards/, and more than that.
func TestPodIsRestricted(t *testing.T) {
	t.Parallel()
	pod := render(t, wanted(), server).deployment.Spec.Template.Spec
	security, container := pod.SecurityContext, pod.Containers[0].SecurityContext
	if !*security.RunAsNonRoot || *security.RunAsUser == 0 || security.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("pod: %+v", security)
	}
	if diff := cmp.Diff([]corev1.Sysctl{{Name: "net.ipv4.ip_unprivileged_port_start", Value: "0"}}, security.Sysctls); diff != "" {
		t.Error(diff)
	}
	if *container.AllowPrivilegeEscalation || !*container.ReadOnlyRootFilesystem || !*container.RunAsNonRoot ||
		!slices.Equal(container.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(container.Capabilities.Add) > 0 {
		t.Errorf("container: %+v", container)
	}
	for _, volume := range pod.Volumes {
		if volume.ConfigMap == nil && volume.Projected == nil {
			t.Errorf("volume %+v", volume)
		}
	}
	if grace, sleep := *pod.TerminationGracePeriodSeconds, pod.Containers[0].Lifecycle.PreStop.Sleep.Seconds; sleep < 5 || grace <= sleep {
		t.Errorf("it is killed after %d seconds, %d of which it sleeps", grace, sleep)
	}
}

// The probe asks what the bootstrap offers, and the administration interface is on loopback.
func TestPortsOfTheEnvoy(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ports            []int32
		bind             string
		admin, readiness float64
		listen           string
	}{
		"free":         {[]int32{80}, "", 19000, 19001, "::"},
		"taken":        {[]int32{19000, 19002}, "", 19001, 19003, "::"},
		"bind address": {[]int32{80}, "0.0.0.0", 19000, 19001, "0.0.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := render(t, wanted(func(i *graph.Infrastructure) {
				i.Ports, i.BindAddress = nil, tt.bind
				for _, port := range tt.ports {
					i.Ports = append(i.Ports, graph.InfrastructurePort{Port: port, Protocol: corev1.ProtocolTCP})
				}
			}), server)
			var b struct {
				Admin           struct{ Address address }
				StaticResources struct{ Listeners []struct{ Address address } } `json:"static_resources"`
			}
			if err := yaml.Unmarshal([]byte(r.config.Data["envoy.yaml"]), &b); err != nil {
				t.Fatal(err)
			}
			if at := b.Admin.Address.SocketAddress; at.Address != "127.0.0.1" || at.PortValue != tt.admin {
				t.Errorf("admin at %v", at)
			}
			if at := b.StaticResources.Listeners[0].Address.SocketAddress; at.Address != tt.listen || at.PortValue != tt.readiness {
				t.Errorf("readiness at %v", at)
			}
			probe := r.deployment.Spec.Template.Spec.Containers[0].ReadinessProbe.HTTPGet
			if probe.Path != bootstrap.ReadinessPath || float64(probe.Port.IntVal) != tt.readiness {
				t.Errorf("probe %v", probe)
			}
		})
	}
}

type address struct {
	SocketAddress struct {
		Address   string
		PortValue float64 `json:"port_value"`
	} `json:"socket_address"`
}

func TestService(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		of         corev1.ServiceType
		ports      []graph.InfrastructurePort
		addresses  []string
		wantPorts  []string
		balancer   string
		clusterIPs []string
	}{
		"one port of two protocols": {
			of:        corev1.ServiceTypeLoadBalancer,
			ports:     []graph.InfrastructurePort{{Port: 53, Protocol: corev1.ProtocolTCP}, {Port: 53, Protocol: corev1.ProtocolUDP}},
			wantPorts: []string{"tcp-53 53/TCP", "udp-53 53/UDP"},
		},
		"address of a load balancer": {
			of: corev1.ServiceTypeLoadBalancer, ports: []graph.InfrastructurePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
			addresses: []string{"192.0.2.1"}, wantPorts: []string{"tcp-80 80/TCP"}, balancer: "192.0.2.1",
		},
		"address in the cluster": {
			of: corev1.ServiceTypeClusterIP, ports: []graph.InfrastructurePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
			addresses: []string{"10.96.0.7"}, wantPorts: []string{"tcp-80 80/TCP"}, clusterIPs: []string{"10.96.0.7"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := render(t, wanted(func(i *graph.Infrastructure) {
				i.Provisioning.ServiceType, i.Ports, i.Addresses = tt.of, tt.ports, tt.addresses
			}), server)
			spec := r.service.Spec
			var ports []string
			for _, p := range spec.Ports {
				ports = append(ports, p.Name+" "+p.TargetPort.String()+"/"+string(p.Protocol))
				if p.Port != p.TargetPort.IntVal {
					t.Errorf("port %v leads elsewhere", p)
				}
			}
			if diff := cmp.Diff(tt.wantPorts, ports); diff != "" {
				t.Error(diff)
			}
			if spec.Type != tt.of || spec.LoadBalancerIP != tt.balancer || !slices.Equal(spec.ClusterIPs, tt.clusterIPs) {
				t.Errorf("service %+v", spec)
			}
			if got := len(r.deployment.Spec.Template.Spec.Containers[0].Ports); got != len(tt.wantPorts) {
				t.Errorf("the container has %d ports", got)
			}
		})
	}
}

func TestOneReplicaHasNoBudget(t *testing.T) {
	t.Parallel()
	for _, replicas := range []*int32{nil, new(int32(0)), new(int32(1))} {
		r := render(t, wanted(func(i *graph.Infrastructure) { i.Provisioning.Replicas = replicas }), server)
		if slices.Contains(r.kinds, "PodDisruptionBudget") {
			t.Errorf("%v: %v", replicas, r.kinds)
		}
	}
}

// Pods are replaced when their bootstrap changes, and not when only something else does.
func TestConfigHash(t *testing.T) {
	t.Parallel()
	hash := func(i *graph.Infrastructure, xds XDS) string {
		return render(t, i, xds).deployment.Spec.Template.Annotations[configHash]
	}
	first := hash(wanted(), server)
	if again := hash(wanted(func(i *graph.Infrastructure) { i.Provisioning.ServiceType = corev1.ServiceTypeClusterIP }), server); again != first {
		t.Errorf("another type of Service changes %s to %s", first, again)
	}
	trusting := server
	trusting.CA = []byte("-----BEGIN CERTIFICATE-----\n")
	if again := hash(wanted(), trusting); again == first || first == "" {
		t.Errorf("%q stays with another CA", first)
	}
}

// The Envoy shows a token, to a server that it knows by its CA. It finds both where the bootstrap says.
func TestTrust(t *testing.T) {
	t.Parallel()
	trusting := server
	trusting.CA = []byte("the CA")
	r := render(t, wanted(), trusting)
	if r.config.Data["ca.crt"] != "the CA" {
		t.Errorf("config %v", slices.Sorted(maps.Keys(r.config.Data)))
	}
	var files []string
	pod := r.deployment.Spec.Template.Spec
	for _, mount := range pod.Containers[0].VolumeMounts {
		i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })
		if projected := pod.Volumes[i].Projected; projected != nil {
			token := projected.Sources[0].ServiceAccountToken
			if token.Audience != identity.Audience || *token.ExpirationSeconds > 3600 {
				t.Errorf("token %+v", token)
			}
			files = append(files, mount.MountPath+"/"+token.Path)
		} else {
			files = append(files, mount.MountPath+"/ca.crt")
		}
	}
	for _, file := range files {
		if !strings.Contains(r.config.Data["envoy.yaml"], "filename: "+file+"\n") {
			t.Errorf("the Envoy doesn't read %s:\n%s", file, r.config.Data["envoy.yaml"])
		}
	}
	if len(files) != 2 {
		t.Errorf("files %v", files)
	}
	wantRules := []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{"gateway.networking.k8s.io"}, Resources: []string{"gateways/xds"}, ResourceNames: []string{"web"}}}
	if diff := cmp.Diff(wantRules, r.role.Rules); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	wantSubjects := []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: pod.ServiceAccountName}}
	if diff := cmp.Diff(wantSubjects, r.binding.Subjects); diff != "" || r.binding.RoleRef.Name != r.role.Name || r.binding.RoleRef.Kind != "Role" {
		t.Errorf("it binds %+v to (-want +got):\n%s", r.binding.RoleRef, diff)
	}
}

// What users say comes second to what the objects are found by.
func TestReservedLabels(t *testing.T) {
	t.Parallel()
	r := render(t, wanted(func(i *graph.Infrastructure) {
		for _, label := range graph.ReservedLabels() {
			i.Labels[label] = "mine"
		}
	}), server)
	for _, label := range graph.ReservedLabels() {
		if value := r.service.Labels[label]; value == "mine" || value == "" {
			t.Errorf("label %s is %q", label, value)
		}
	}
}
