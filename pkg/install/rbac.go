package install

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

var (
	follow = []string{"list", "watch"}
	read   = []string{"get", "list", "watch"}
	write  = []string{"create", "update", "patch", "delete", "deletecollection"}
)

// rbac is what the server may do. Kinds that admission policies take as parameters (spec.paramKind) are not among it,
// but for ConfigMaps: who writes such a policy binds a role for them to the ServiceAccount.
func (o Options) rbac() []Object {
	objects := []Object{
		clusterRole(Name, nil, o.clusterRules()),
		clusterRoleBinding(Name, Name, o.Namespace),
		// Who sends a request, and whether they may, is for kube-apiserver to say.
		clusterRoleBinding(Name+"-auth-delegator", "system:auth-delegator", o.Namespace),
		o.roleBinding(metav1.NamespaceSystem, Name+"-authentication-reader", "Role", "extension-apiserver-authentication-reader"),
		&rbacv1.Role{
			TypeMeta:   typeMeta(rbacv1.SchemeGroupVersion.String(), "Role"),
			ObjectMeta: o.meta(Name),
			Rules: []rbacv1.PolicyRule{
				// A name cannot be asked of creations: it isn't known when they are authorized.
				{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"create"}},
				// List and watch are allowed to who names one by metadata.name.
				{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: o.authorities(), Verbs: []string{"get", "list", "watch", "update"}},
			},
		},
		o.roleBinding(o.Namespace, Name, "Role", Name),
		clusterRole(referencesRole, nil, []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps", "secrets"}, Verbs: follow}}),
	}
	if o.Provisioning {
		objects = append(objects, clusterRole(provisioningRole, nil, provisioningRules()), clusterRoleBinding(provisioningRole, provisioningRole, o.Namespace))
	}
	if len(o.SecretNamespaces) == 0 {
		return append(objects, clusterRoleBinding(referencesRole, referencesRole, o.Namespace))
	}
	namespaces := slices.Compact(slices.Sorted(slices.Values(o.SecretNamespaces)))
	for _, namespace := range namespaces {
		objects = append(objects, o.roleBinding(namespace, referencesRole, "ClusterRole", referencesRole))
	}
	return objects
}

// clusterRules are what the server reads in all namespaces, and the few things that it writes.
func (o Options) clusterRules() []rbacv1.PolicyRule {
	var registered []string
	for _, s := range (Registration{o.Namespace, o.ServicePort}).APIServices() {
		registered = append(registered, s.Name)
	}
	return []rbacv1.PolicyRule{
		// NamespaceLifecycle asks for a Namespace that it hasn't seen yet.
		{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: read},
		// What routes refer to.
		{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: follow},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: follow},
		// Admission plugins.
		{
			APIGroups: []string{"admissionregistration.k8s.io"},
			Resources: []string{
				"mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "mutatingwebhookconfigurations",
				"validatingadmissionpolicies", "validatingadmissionpolicybindings", "validatingwebhookconfigurations",
			},
			Verbs: follow,
		},
		{APIGroups: []string{""}, Resources: []string{"resourcequotas"}, Verbs: follow},
		{APIGroups: []string{""}, Resources: []string{"resourcequotas/status"}, Verbs: []string{"update"}},
		// Priority and fairness. The statuses of FlowSchemas are left to kube-apiserver, which sees the same ones.
		{APIGroups: []string{"flowcontrol.apiserver.k8s.io"}, Resources: []string{"flowschemas", "prioritylevelconfigurations"}, Verbs: follow},
		// The caBundle.
		{APIGroups: []string{"apiregistration.k8s.io"}, Resources: []string{"apiservices"}, ResourceNames: registered, Verbs: []string{"get", "patch"}},
	}
}

// provisioningRules are for the objects that Gateways get in their namespaces, which may be any. Whoever may write an EnvoyFleet
// has the server run an image of their choice there; who may write a Gateway, one of an EnvoyFleet's.
func provisioningRules() []rbacv1.PolicyRule {
	verbs := slices.Concat(read, []string{"create", "patch", "delete"})
	return []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps", "serviceaccounts", "services"}, Verbs: verbs},
		{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: verbs},
		{APIGroups: []string{"policy"}, Resources: []string{"poddisruptionbudgets"}, Verbs: verbs},
		// Each Gateway's Envoys get a role to read their configuration, and nobody may give what they don't have.
		{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles", "rolebindings"}, Verbs: verbs},
		{APIGroups: []string{gatewayv1.GroupName}, Resources: []string{"gateways/xds"}, Verbs: []string{"get"}},
	}
}

// authorities are the Secrets of the CAs that the replicas share.
func (o Options) authorities() []string {
	if o.Etcd.Embedded && o.Etcd.Members > 1 {
		return []string{CASecret, peersSecret}
	}
	return []string{CASecret}
}

// userRoles let users of the cluster's roles admin, edit and view use the Gateway API. As the security model of the
// Gateway API has it (https://gateway-api.sigs.k8s.io/concepts/security-model/), developers write routes and what
// belongs to these, and who runs a namespace also writes Gateways. What is for the whole cluster stays with its
// administrators, and so do EnvoyFleets: they claim Envoys and addresses that nobody's namespace has, and files that Envoys
// write.
func userRoles() []Object {
	var all, developers, gateways []rbacv1.PolicyRule
	for _, group := range groups() {
		var everything, most []string
		for _, kind := range apis.DefinedKinds {
			for _, v := range kind {
				s := crd.Lookup(v.GroupVersionKind)
				resource := s.Names().Plural
				if v.Group != group || slices.Contains(everything, resource) {
					continue
				}
				everything = append(everything, resource)
				if s.Namespaced() && kind.Hub().Kind != "Gateway" && group != apis.FleetV1alpha1.Group {
					most = append(most, resource)
				}
			}
		}
		slices.Sort(everything)
		slices.Sort(most)
		all = append(all, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: everything, Verbs: read})
		if len(most) > 0 {
			developers = append(developers, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: most, Verbs: write})
		}
	}
	gateways = append(gateways, rbacv1.PolicyRule{APIGroups: []string{gatewayv1.GroupName}, Resources: []string{"gateways"}, Verbs: write})
	// view is aggregated to edit by the cluster, and that to admin.
	return []Object{
		clusterRole(Name+"-view", aggregateTo("view"), all),
		clusterRole(Name+"-edit", aggregateTo("edit"), developers),
		clusterRole(Name+"-admin", aggregateTo("admin"), gateways),
	}
}

func aggregateTo(role string) map[string]string {
	return map[string]string{"rbac.authorization.k8s.io/aggregate-to-" + role: "true"}
}

func clusterRole(name string, more map[string]string, rules []rbacv1.PolicyRule) *rbacv1.ClusterRole {
	r := &rbacv1.ClusterRole{TypeMeta: typeMeta(rbacv1.SchemeGroupVersion.String(), "ClusterRole"), ObjectMeta: clusterMeta(name), Rules: rules}
	for k, v := range more {
		r.Labels[k] = v
	}
	return r
}

func clusterRoleBinding(name, role, namespace string) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		TypeMeta:   typeMeta(rbacv1.SchemeGroupVersion.String(), "ClusterRoleBinding"),
		ObjectMeta: clusterMeta(name),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   subjects(namespace),
	}
}

// roleBinding gives the server a role in a namespace.
func (o Options) roleBinding(namespace, name, kind, role string) *rbacv1.RoleBinding {
	b := &rbacv1.RoleBinding{
		TypeMeta:   typeMeta(rbacv1.SchemeGroupVersion.String(), "RoleBinding"),
		ObjectMeta: clusterMeta(name),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
		Subjects:   subjects(o.Namespace),
	}
	b.Namespace = namespace
	return b
}

func subjects(namespace string) []rbacv1.Subject {
	return []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: Name, Namespace: namespace}}
}
