package aggregator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

// served are the resources of the Gateway API in all versions, with their kinds, as kube-apiserver has them in discovery.
func served(t *testing.T) map[schema.GroupVersionResource]metav1.APIResource {
	t.Helper()
	client, err := discovery.NewDiscoveryClientForConfig(kube.Admin)
	if err != nil {
		t.Fatal(err)
	}
	_, lists, err := client.ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	resources := map[schema.GroupVersionResource]metav1.APIResource{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(gv.Group, "gateway.networking.") {
			continue
		}
		for _, resource := range list.APIResources {
			if !strings.Contains(resource.Name, "/") {
				resources[gv.WithResource(resource.Name)] = resource
			}
		}
	}
	return resources
}

// Who may read one resource reads that in all versions, and no other one by any path (CVE-2022-3162).
func TestResourcesAreApart(t *testing.T) {
	t.Parallel()
	resources := served(t)
	if len(resources) < 20 {
		t.Fatalf("only %d resources in discovery: %v", len(resources), resources)
	}
	permitted := map[schema.GroupResource]*rest.Config{}
	for gvr := range resources {
		permitted[gvr.GroupResource()] = nil
	}
	for resource := range permitted {
		permitted[resource] = readerOf(t, resource)
	}
	for resource, user := range permitted {
		t.Run(resource.String(), func(t *testing.T) {
			t.Parallel()
			for gvr, served := range resources {
				for _, path := range paths(gvr, served.Namespaced) {
					status, body := request(t, user, path, nil)
					if gvr.GroupResource() != resource {
						if status != http.StatusForbidden {
							t.Errorf("%s: who reads %s gets %d: %.200s", path, resource, status, body)
						}
						continue
					}
					var list metav1.PartialObjectMetadataList
					if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK || list.Kind != served.Kind+"List" {
						t.Errorf("%s: %d, kind %s: %.200s", path, status, list.Kind, body)
					}
				}
			}
			// Through names that are paths.
			for gvr, served := range resources {
				if gvr.GroupResource() != resource || !served.Namespaced {
					continue
				}
				for _, path := range []string{"..%2fhttproutes", "..%2f..%2fgatewayclasses%2fgateway-apiserver", "%2e%2e", "..", "x%2f..%2f..%2fgateways"} {
					for _, way := range []string{
						fmt.Sprintf("/apis/%s/%s/namespaces/%s/%s", gvr.Group, gvr.Version, path, gvr.Resource),
						fmt.Sprintf("/apis/%s/%s/namespaces/default/%s/%s", gvr.Group, gvr.Version, gvr.Resource, path),
						fmt.Sprintf("/apis/%s/%s/%s?fieldSelector=metadata.namespace%%3D%s", gvr.Group, gvr.Version, gvr.Resource, path),
					} {
						status, body := request(t, user, way, nil)
						var list metav1.PartialObjectMetadataList
						_ = json.Unmarshal([]byte(body), &list)
						if status == http.StatusOK && (list.Kind != served.Kind+"List" || len(list.Items) > 0) {
							t.Errorf("%s: %d: %.200s", way, status, body)
						}
					}
				}
			}
		})
	}
}

// paths of a resource that lists are read from.
func paths(gvr schema.GroupVersionResource, namespaced bool) []string {
	prefix := fmt.Sprintf("/apis/%s/%s/", gvr.Group, gvr.Version)
	if !namespaced {
		return []string{prefix + gvr.Resource}
	}
	return []string{prefix + gvr.Resource, prefix + "namespaces/default/" + gvr.Resource}
}

// readerOf makes a user who may read one resource in the whole cluster.
func readerOf(t *testing.T, resource schema.GroupResource) *rest.Config {
	t.Helper()
	name := "only-" + resource.String()
	roles := kube.Clientset().RbacV1()
	if _, err := roles.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{resource.Group}, Resources: []string{resource.Resource}, Verbs: []string{"get", "list", "watch"}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := roles.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	user, err := kube.User(name)
	if err != nil {
		t.Fatal(err)
	}
	return user
}
