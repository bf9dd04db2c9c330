package install

import (
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Writing Deployments everywhere is a permission that is only given to who asks for it.
func TestProvisioning(t *testing.T) {
	t.Parallel()
	for _, wanted := range []bool{false, true} {
		o := Defaults()
		o.Etcd.Embedded, o.Provisioning = true, wanted
		var bound, writes bool
		for _, object := range Objects(o) {
			switch object := object.(type) {
			case *rbacv1.ClusterRole:
				for _, rule := range object.Rules {
					writes = writes || slices.Contains(rule.Resources, "deployments") && slices.Contains(rule.Verbs, "patch")
				}
			case *rbacv1.ClusterRoleBinding:
				bound = bound || object.RoleRef.Name == provisioningRole
			}
		}
		if bound != wanted || writes != wanted || slices.Contains(o.args(), "--provisioning") != wanted {
			t.Errorf("wanted is %v, and the permission is given: %v, bound: %v; the server is started with %v", wanted, writes, bound, o.args())
		}
	}
}
