package install_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/install"
)

// variants are ways to install.
func variants() map[string]install.Options {
	with := func(change func(*install.Options)) install.Options {
		o := install.Defaults()
		o.Etcd.Embedded = true
		change(&o)
		return o
	}
	external := func(o *install.Options) {
		o.Etcd.Embedded = false
		o.Etcd.Endpoints = []string{"https://a.example.com:2379", "https://b.example.com:2379"}
	}
	return map[string]install.Options{
		"one member":     with(func(*install.Options) {}),
		"three members":  with(func(o *install.Options) { o.Etcd.Members = 3; o.Etcd.StorageClass = "fast" }),
		"an etcd":        with(external),
		"an etcd by TLS": with(func(o *install.Options) { external(o); o.Etcd.Secret = "etcd-client" }),
		"host network":   with(func(o *install.Options) { external(o); o.HostNetwork = true; o.SecurePort = 8443 }),
		"some Secrets":   with(func(o *install.Options) { o.SecretNamespaces = []string{"b", "a", "b"} }),
		"kube-system":    with(func(o *install.Options) { o.Namespace = "kube-system"; o.ServicePort = 8443 }),
		"no APIServices": with(func(o *install.Options) { o.Register = false; o.Channel = crd.StandardChannel }),
	}
}

func each(t *testing.T, check func(t *testing.T, o install.Options, objects []install.Object)) {
	t.Parallel()
	for name, o := range variants() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := o.Validate(); err != nil {
				t.Fatal(err)
			}
			check(t, o, install.Objects(o))
		})
	}
}

func name(o install.Object) string {
	return fmt.Sprintf("%s %s/%s", o.GetObjectKind().GroupVersionKind(), o.GetNamespace(), o.GetName())
}

// of returns the objects of a Go type.
func of[T install.Object](objects []install.Object) []T {
	var found []T
	for _, o := range objects {
		if o, ok := o.(T); ok {
			found = append(found, o)
		}
	}
	return found
}

func TestMetadata(t *testing.T) {
	each(t, func(t *testing.T, o install.Options, objects []install.Object) {
		seen := map[string]bool{}
		for i, object := range objects {
			if object.GetObjectKind().GroupVersionKind().Kind == "" || object.GetName() == "" {
				t.Errorf("%T %s has no kind or no name", object, name(object))
			}
			if seen[name(object)] {
				t.Errorf("%s is there twice", name(object))
			}
			seen[name(object)] = true
			for label, want := range map[string]string{"app.kubernetes.io/managed-by": "gateway-apiserver-install", "app.kubernetes.io/name": "gateway-apiserver"} {
				if got := object.GetLabels()[label]; got != want {
					t.Errorf("%s has %s=%q, want %q", name(object), label, got, want)
				}
			}
			if _, ok := object.(*corev1.Namespace); ok && i > 0 {
				t.Errorf("%s is not first", name(object))
			}
		}
		if o.Namespace == "kube-system" && len(of[*corev1.Namespace](objects)) > 0 {
			t.Error("kube-system is not ours to label and to delete")
		}
	})
}

func TestPrint(t *testing.T) {
	each(t, func(t *testing.T, o install.Options, objects []install.Object) {
		var first, second bytes.Buffer
		if err := install.Print(&first, objects); err != nil {
			t.Fatal(err)
		}
		if err := install.Print(&second, install.Objects(o)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first.String(), second.String()); diff != "" {
			t.Errorf("printing twice (-first +second):\n%s", diff)
		}
		if got := strings.Count(first.String(), "\n---\n") + 1; got != len(objects) {
			t.Errorf("%d documents for %d objects", got, len(objects))
		}
		for _, never := range []string{"insecureSkipTLSVerify", "caBundle", "\nstatus:", "null", "creationTimestamp"} {
			if strings.Contains(first.String(), never) {
				t.Errorf("%q is printed", never)
			}
		}
	})
}

func TestAPIServices(t *testing.T) {
	each(t, func(t *testing.T, o install.Options, objects []install.Object) {
		services := of[*apiregistrationv1.APIService](objects)
		if !o.Register {
			if len(services) > 0 || objects[len(objects)-1].GetObjectKind().GroupVersionKind().Kind == "GatewayClass" {
				t.Error("the server is registered")
			}
			return
		}
		if last := objects[len(objects)-1].GetObjectKind().GroupVersionKind().Kind; last != "GatewayClass" {
			t.Errorf("the last object is a %s, want the GatewayClass: it is served by the server", last)
		}
		registered := map[string]bool{}
		for _, s := range services {
			registered[s.Spec.Group+"/"+s.Spec.Version] = true
			if s.Name != s.Spec.Version+"."+s.Spec.Group {
				t.Errorf("APIService %s is for %s of %s", s.Name, s.Spec.Version, s.Spec.Group)
			}
			if got := s.Spec.Service; got.Namespace != o.Namespace || got.Name != "gateway-apiserver" || *got.Port != o.ServicePort {
				t.Errorf("APIService %s points to %v", s.Name, got)
			}
		}
		for _, kind := range apis.DefinedKinds {
			for _, v := range kind {
				if !registered[v.GroupVersion().String()] {
					t.Errorf("%s is served, but not registered", v.GroupVersion())
				}
			}
		}
	})
}

// TestPermissions is about what the server may do: all that it may write, and that nothing is for anything.
func TestPermissions(t *testing.T) {
	each(t, func(t *testing.T, o install.Options, objects []install.Object) {
		defined := map[string]bool{"ClusterRole system:auth-delegator": true, "Role extension-apiserver-authentication-reader": true}
		var writes []string
		rules := func(kind, name string, rules []rbacv1.PolicyRule) {
			defined[kind+" "+name] = true
			users := slices.Contains([]string{"gateway-apiserver-view", "gateway-apiserver-edit", "gateway-apiserver-admin"}, name)
			for _, rule := range rules {
				for _, word := range slices.Concat(rule.Verbs, rule.APIGroups, rule.Resources, rule.ResourceNames) {
					if strings.Contains(word, "*") {
						t.Errorf("%s %s has a wildcard: %v", kind, name, rule)
					}
				}
				for _, verb := range rule.Verbs {
					read := slices.Contains([]string{"get", "list", "watch"}, verb)
					if !users && (!read || len(rule.ResourceNames) > 0) {
						writes = append(writes, fmt.Sprintf("%s %s %v", verb, strings.Join(rule.Resources, ","), rule.ResourceNames))
					}
					if slices.Contains(rule.Resources, "secrets") && read && verb == "get" && len(rule.ResourceNames) == 0 {
						t.Errorf("%s %s may get any Secret", kind, name)
					}
				}
			}
		}
		for _, r := range of[*rbacv1.ClusterRole](objects) {
			rules("ClusterRole", r.Name, r.Rules)
		}
		for _, r := range of[*rbacv1.Role](objects) {
			rules("Role", r.Name, r.Rules)
		}
		bound := func(name string, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
			if !defined[ref.Kind+" "+ref.Name] {
				t.Errorf("%s binds %s %s, which is not there", name, ref.Kind, ref.Name)
			}
			want := []rbacv1.Subject{{Kind: "ServiceAccount", Name: of[*corev1.ServiceAccount](objects)[0].Name, Namespace: o.Namespace}}
			if diff := cmp.Diff(want, subjects); diff != "" {
				t.Errorf("subjects of %s (-want +got):\n%s", name, diff)
			}
		}
		var secrets []string // the namespaces in which they can be read
		for _, b := range of[*rbacv1.ClusterRoleBinding](objects) {
			bound(b.Name, b.RoleRef, b.Subjects)
			if b.RoleRef.Name == "gateway-apiserver-references" {
				secrets = append(secrets, "*")
			}
		}
		for _, b := range of[*rbacv1.RoleBinding](objects) {
			bound(b.Name, b.RoleRef, b.Subjects)
			if b.RoleRef.Name == "gateway-apiserver-references" {
				secrets = append(secrets, b.Namespace)
			}
		}
		wantSecrets := []string{"*"}
		if len(o.SecretNamespaces) > 0 {
			wantSecrets = []string{"a", "b"}
		}
		if diff := cmp.Diff(wantSecrets, secrets); diff != "" {
			t.Errorf("where Secrets can be read (-want +got):\n%s", diff)
		}

		authorities := "[gateway-apiserver-ca]"
		if o.Etcd.Embedded && o.Etcd.Members > 1 {
			authorities = "[gateway-apiserver-ca gateway-apiserver-etcd-peers]"
		}
		registered := "[v1.gateway.networking.k8s.io v1alpha1.gateway-apiserver.dev v1alpha1.gateway.networking.x-k8s.io v1alpha2.gateway.networking.k8s.io v1alpha3.gateway.networking.k8s.io v1beta1.gateway.networking.k8s.io]"
		want := []string{
			"update resourcequotas/status []",
			"get apiservices " + registered, "patch apiservices " + registered,
			"create secrets []",
			"get secrets " + authorities, "list secrets " + authorities, "watch secrets " + authorities, "update secrets " + authorities,
		}
		if diff := cmp.Diff(want, writes); diff != "" {
			t.Errorf("what the server may write, or read by name (-want +got):\n%s", diff)
		}
	})
}

// TestUserRoles is about what the cluster's own roles get.
func TestUserRoles(t *testing.T) {
	t.Parallel()
	may := map[string]bool{} // "role verb resource.group"
	for _, r := range of[*rbacv1.ClusterRole](install.Objects(variants()["one member"])) {
		for label := range r.Labels {
			role, ok := strings.CutPrefix(label, "rbac.authorization.k8s.io/aggregate-to-")
			if !ok {
				continue
			}
			for _, rule := range r.Rules {
				for _, verb := range rule.Verbs {
					for _, resource := range rule.Resources {
						may[role+" "+verb+" "+resource+"."+rule.APIGroups[0]] = true
					}
				}
			}
		}
	}
	resources := map[string]bool{}
	for _, kind := range apis.DefinedKinds {
		for _, v := range kind {
			s := crd.Lookup(v.GroupVersionKind)
			resource := s.Names().Plural + "." + v.Group
			resources[resource] = true
			for action, want := range map[string]bool{
				"view list ":    true,
				"view create ":  false,
				"edit create ":  s.Namespaced() && v.Kind != "Gateway" && v.Kind != "EnvoyFleet",
				"edit delete ":  s.Namespaced() && v.Kind != "Gateway" && v.Kind != "EnvoyFleet",
				"admin create ": v.Kind == "Gateway", // and what edit may
			} {
				if may[action+resource] != want {
					t.Errorf("%s%s: got %t, want %t", action, resource, !want, want)
				}
			}
		}
	}
	for action := range may {
		if resource := strings.Fields(action)[2]; !resources[resource] {
			t.Errorf("%s: no such kind is served", action)
		}
	}
}

// workload returns the parts of a Deployment or StatefulSet.
func workload(t *testing.T, objects []install.Object) (selector map[string]string, pod corev1.PodTemplateSpec, claims []corev1.PersistentVolumeClaim) {
	t.Helper()
	deployments, sets := of[*appsv1.Deployment](objects), of[*appsv1.StatefulSet](objects)
	if len(deployments)+len(sets) != 1 {
		t.Fatalf("%d Deployments and %d StatefulSets", len(deployments), len(sets))
	}
	if len(deployments) == 1 {
		return deployments[0].Spec.Selector.MatchLabels, deployments[0].Spec.Template, nil
	}
	return sets[0].Spec.Selector.MatchLabels, sets[0].Spec.Template, sets[0].Spec.VolumeClaimTemplates
}

// TestWorkload is about names that have to be the same in several places.
func TestWorkload(t *testing.T) {
	each(t, func(t *testing.T, o install.Options, objects []install.Object) {
		matches, pod, claims := workload(t, objects)
		container := pod.Spec.Containers[0]
		podLabels := labels.Set(pod.Labels)

		selectors := []map[string]string{matches}
		for _, s := range of[*corev1.Service](objects) {
			selectors = append(selectors, s.Spec.Selector)
		}
		for _, b := range of[*policyv1.PodDisruptionBudget](objects) {
			selectors = append(selectors, b.Spec.Selector.MatchLabels)
		}
		for _, spread := range pod.Spec.TopologySpreadConstraints {
			selectors = append(selectors, spread.LabelSelector.MatchLabels)
		}
		for _, s := range selectors {
			if len(s) == 0 || !labels.SelectorFromSet(s).Matches(podLabels) {
				t.Errorf("%v does not select the pods, which have %v", s, podLabels)
			}
		}

		ports := map[string]int32{}
		for _, p := range container.Ports {
			ports[p.Name] = p.ContainerPort
		}
		if ports["https"] != o.SecurePort || !slices.Contains(container.Args, fmt.Sprintf("--secure-port=%d", o.SecurePort)) {
			t.Errorf("the server listens to %v, want port %d", ports, o.SecurePort)
		}
		service := of[*corev1.Service](objects)[0].Spec.Ports[0]
		if service.Port != o.ServicePort || ports[service.TargetPort.String()] == 0 {
			t.Errorf("the Service's port is %v, of %v", service, ports)
		}
		services := of[*corev1.Service](objects)
		xds := services[slices.IndexFunc(services, func(s *corev1.Service) bool { return s.Name == "gateway-apiserver-xds" })].Spec
		if !xds.PublishNotReadyAddresses || xds.ClusterIP == corev1.ClusterIPNone || xds.Ports[0].Port != 18000 || ports[xds.Ports[0].TargetPort.String()] != 18000 {
			t.Errorf("Envoys don't find replicas that aren't ready: %v", xds)
		}
		for what, probe := range map[string]*corev1.Probe{"startup": container.StartupProbe, "liveness": container.LivenessProbe, "readiness": container.ReadinessProbe} {
			if probe.HTTPGet.Scheme != corev1.URISchemeHTTPS || ports[probe.HTTPGet.Port.String()] == 0 {
				t.Errorf("the %s probe asks %v", what, probe.HTTPGet)
			}
		}

		volumes := map[string]bool{}
		for _, v := range pod.Spec.Volumes {
			volumes[v.Name] = true
		}
		for _, c := range claims {
			volumes[c.Name] = true
		}
		for _, m := range container.VolumeMounts {
			if !volumes[m.Name] {
				t.Errorf("there is no volume %s", m.Name)
			}
			delete(volumes, m.Name)
		}
		if len(volumes) > 0 {
			t.Errorf("volumes that are not mounted: %v", volumes)
		}
		if accounts := of[*corev1.ServiceAccount](objects); pod.Spec.ServiceAccountName != accounts[0].Name {
			t.Errorf("the pods run as %s", pod.Spec.ServiceAccountName)
		}
	})
}

// TestRestricted is the Pod Security Standard "restricted", and what goes beyond it.
func TestRestricted(t *testing.T) {
	each(t, func(t *testing.T, o install.Options, objects []install.Object) {
		_, pod, _ := workload(t, objects)
		container := pod.Spec.Containers[0]
		inPod, in := pod.Spec.SecurityContext, container.SecurityContext
		for rule, kept := range map[string]bool{
			"runAsNonRoot":                  *inPod.RunAsNonRoot && *inPod.RunAsUser > 0 && *inPod.RunAsGroup > 0,
			"seccompProfile":                inPod.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
			"allowPrivilegeEscalation":      !*in.AllowPrivilegeEscalation,
			"capabilities":                  slices.Equal(in.Capabilities.Drop, []corev1.Capability{"ALL"}) && len(in.Capabilities.Add) == 0,
			"readOnlyRootFilesystem":        *in.ReadOnlyRootFilesystem,
			"hostNetwork":                   pod.Spec.HostNetwork == o.HostNetwork,
			"hostPID, hostIPC":              !pod.Spec.HostPID && !pod.Spec.HostIPC,
			"only one container":            len(pod.Spec.Containers) == 1 && len(pod.Spec.InitContainers) == 0,
			"resources.requests":            len(container.Resources.Requests) == 2,
			"priorityClassName":             pod.Spec.PriorityClassName == "system-cluster-critical",
			"terminationGracePeriodSeconds": *pod.Spec.TerminationGracePeriodSeconds > 60,
		} {
			if !kept {
				t.Errorf("not as it should be: %s", rule)
			}
		}
		for _, v := range pod.Spec.Volumes {
			if v.HostPath != nil {
				t.Errorf("volume %s is of the host", v.Name)
			}
		}
		if !slices.Contains(container.Args, "--xds-listen=:18000") {
			t.Errorf("xDS is on the loopback address, in plaintext: %v", container.Args)
		}
		for _, n := range of[*corev1.Namespace](objects) {
			want := "restricted"
			if o.HostNetwork {
				want = "privileged"
			}
			if got := n.Labels["pod-security.kubernetes.io/enforce"]; got != want {
				t.Errorf("the Namespace enforces %q, want %q", got, want)
			}
		}
	})
}

func TestEmbeddedPeers(t *testing.T) {
	t.Parallel()
	objects := install.Objects(variants()["three members"])
	_, pod, claims := workload(t, objects)
	var peers string
	for _, arg := range pod.Spec.Containers[0].Args {
		if value, ok := strings.CutPrefix(arg, "--embedded-etcd-peers="); ok {
			peers = value
		}
	}
	set := of[*appsv1.StatefulSet](objects)[0]
	var want []string
	for i := range *set.Spec.Replicas { // https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#stable-network-id
		pod := fmt.Sprintf("%s-%d", set.Name, i)
		want = append(want, fmt.Sprintf("%s=https://%s.%s.%s.svc:2380", pod, pod, set.Spec.ServiceName, set.Namespace))
	}
	if diff := cmp.Diff(strings.Join(want, ","), peers); diff != "" {
		t.Errorf("--embedded-etcd-peers (-want +got):\n%s", diff)
	}
	for _, s := range of[*corev1.Service](objects) {
		if s.Name == set.Spec.ServiceName && (s.Spec.ClusterIP != corev1.ClusterIPNone || !s.Spec.PublishNotReadyAddresses) {
			t.Errorf("Service %s does not name pods that are not ready: %v", s.Name, s.Spec)
		}
	}
	if got := *claims[0].Spec.StorageClassName; got != "fast" {
		t.Errorf("the StorageClass is %s", got)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*install.Options){
		"--etcd is required":         func(o *install.Options) { o.Etcd.Embedded = false },
		"is neither \"embedded\"":    func(o *install.Options) { o.Etcd.Embedded, o.Etcd.Endpoints = false, []string{"etcd:2379"} },
		"--etcd-replicas=2":          func(o *install.Options) { o.Etcd.Members = 2 },
		"--etcd-secret is for":       func(o *install.Options) { o.Etcd.Secret = "a" },
		"--etcd-secret has the":      func(o *install.Options) { *o = variants()["an etcd by TLS"]; o.Etcd.Endpoints = []string{"http://a:1"} },
		"no name of a Secret":        func(o *install.Options) { *o = variants()["an etcd by TLS"]; o.Etcd.Secret = "A" },
		"--storage-size=0":           func(o *install.Options) { o.Etcd.StorageSize.Set(0) },
		"--replicas=0":               func(o *install.Options) { o.Replicas = 0 },
		"--service-port=0":           func(o *install.Options) { o.ServicePort = 0 },
		"--secure-port=65536":        func(o *install.Options) { o.SecurePort = 65536 },
		"doesn't run as root":        func(o *install.Options) { o.SecurePort = 443 },
		"--image=\"\"":               func(o *install.Options) { o.Image = "" },
		"--secure-port=18000":        func(o *install.Options) { o.SecurePort = 18000 },
		"--secure-port=2380":         func(o *install.Options) { o.SecurePort, o.Etcd.Members = 2380, 3 },
		"--namespace=\"A\" is no":    func(o *install.Options) { o.Namespace = "A" },
		"--secret-namespaces: \"*\"": func(o *install.Options) { o.SecretNamespaces = []string{"*"} },
	} {
		o := variants()["one member"]
		change(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
