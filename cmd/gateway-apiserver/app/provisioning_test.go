package app

import (
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/install"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/provision"
)

// install gives the server the permissions that provisioning takes, and no more.
func TestInstallAllowsProvisioning(t *testing.T) {
	t.Parallel()
	allowed := func(provisioning bool) map[string]bool {
		o := install.Defaults()
		o.Etcd.Embedded, o.Provisioning = true, provisioning
		o.SecretNamespaces = []string{"one"} // or all ConfigMaps may be read besides
		may := map[string]bool{}
		bound := map[string]bool{}
		objects := install.Objects(o)
		for _, object := range objects {
			if binding, ok := object.(*rbacv1.ClusterRoleBinding); ok {
				bound[binding.RoleRef.Name] = true
			}
		}
		for _, object := range objects {
			role, ok := object.(*rbacv1.ClusterRole)
			if !ok || !bound[role.Name] {
				continue
			}
			for _, rule := range role.Rules {
				for _, group := range rule.APIGroups {
					for _, resource := range rule.Resources {
						for _, verb := range rule.Verbs {
							may[verb+" "+resource+"."+group] = true
						}
					}
				}
			}
		}
		return may
	}
	without, with := allowed(false), allowed(true)
	for _, resource := range provision.Resources() {
		for _, verb := range provision.Verbs() {
			permission := verb + " " + resource.GroupResource().String()
			if resource.Group == "" {
				permission += "."
			}
			if !with[permission] {
				t.Errorf("it may not %s", permission)
			}
			if without[permission] && !slices.Contains([]string{"list services.", "watch services."}, permission) {
				t.Errorf("without --provisioning it may %s", permission)
			}
			delete(with, permission)
		}
	}
	delete(with, "get gateways/xds.gateway.networking.k8s.io") // which it gives to the Envoys
	for permission := range with {
		if !without[permission] {
			t.Errorf("it may %s, which provisioning doesn't", permission)
		}
	}
}
