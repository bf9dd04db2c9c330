package takeover

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

func unlimited(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.QPS = -1
	config.WarningHandlerWithContext = rest.NoWarnings{}
	return config
}

// snapshot has all objects of the test, by kind and name, as clients see them in their storage versions.
type snapshot map[string]*unstructured.Unstructured

func take(t *testing.T, config *rest.Config) snapshot {
	t.Helper()
	s, err := read(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(ctx context.Context, config *rest.Config) (snapshot, error) {
	client := dynamic.NewForConfigOrDie(unlimited(config))
	s := snapshot{}
	for _, k := range kinds() {
		list, err := client.Resource(k.GroupVersionResource).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("listing %v: %w", k.GroupVersionResource, err)
		}
		for i := range list.Items {
			o := &list.Items[i]
			s[fmt.Sprintf("%s %s/%s", k.kind, o.GetNamespace(), o.GetName())] = o
		}
	}
	return s, nil
}

// of leaves out the objects that s has through views of other kinds, and those of writers.
func (s snapshot) of(other snapshot) snapshot {
	out := maps.Clone(s)
	for key := range out {
		view := map[string]string{"ListenerSet": "XListenerSet", "XListenerSet": "ListenerSet", "BackendLBPolicy": "XBackendTrafficPolicy", "XBackendTrafficPolicy": "BackendLBPolicy"}
		kind, name, _ := strings.Cut(key, " ")
		if _, ok := other[key]; !ok && other[view[kind]+" "+name] != nil || strings.Contains(name, "/written-") {
			delete(out, key)
		}
	}
	return out
}

// compare fails for each object of want that isn't in got, each that is more, and each that is not the same in what facts
// tells of it.
func compare(t *testing.T, want, got snapshot, facts func(*unstructured.Unstructured) m) {
	t.Helper()
	want, got = want.of(got), got.of(want)
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if got[key] == nil {
			t.Errorf("%s is lost", key)
			continue
		}
		a, b := facts(want[key]), facts(got[key])
		// Defaults may be filled in, but nothing is otherwise than it was.
		b["spec"] = common(a["spec"], b["spec"])
		b["status"] = common(a["status"], b["status"])
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if want[key] == nil {
			t.Errorf("%s is too much", key)
		}
	}
	if len(want) < 900 {
		t.Errorf("only %d objects were compared", len(want))
	}
}

// common returns those fields of value that like has too.
func common(like, value any) any {
	switch value := value.(type) {
	case map[string]any:
		from, ok := like.(map[string]any)
		if !ok {
			return value
		}
		out := m{}
		for key, inner := range value {
			if _, ok := from[key]; ok {
				out[key] = common(from[key], inner)
			}
		}
		return out
	case []any:
		from, ok := like.([]any)
		if !ok || len(from) != len(value) {
			return value
		}
		out := make([]any, len(value))
		for i := range value {
			out[i] = common(from[i], value[i])
		}
		return out
	}
	return value
}

// identity is all of an object: who it is, what users want of it, and what the other controller has written.
func identity(o *unstructured.Unstructured) m {
	facts := content(o)
	facts["uid"], facts["creationTimestamp"], facts["generation"] = o.GetUID(), o.GetCreationTimestamp().String(), o.GetGeneration()
	return facts
}

// content is identity without what kube-apiserver gives anew to objects that it makes.
func content(o *unstructured.Unstructured) m {
	annotations := maps.Clone(o.GetAnnotations())
	maps.DeleteFunc(annotations, func(key, _ string) bool { return strings.HasPrefix(key, "gateway-apiserver.dev/") })
	if len(annotations) == 0 {
		annotations = nil
	}
	managers, _, _ := unstructured.NestedSlice(o.Object, "metadata", "managedFields")
	owners := o.GetOwnerReferences()
	for i := range owners {
		owners[i].UID = "" // that they belong together is another test
	}
	return m{
		"generateName": o.GetGenerateName(), "labels": o.GetLabels(), "annotations": annotations, "finalizers": o.GetFinalizers(), "owners": owners,
		"managedFields": managers, "deleting": o.GetDeletionTimestamp() != nil, "spec": o.Object["spec"], "status": othersStatus(o),
	}
}

// othersStatus is what the test's own controller has written.
func othersStatus(o *unstructured.Unstructured) any {
	status, _, _ := unstructured.NestedMap(o.Object, "status")
	out := m{}
	for _, field := range []string{"parents", "ancestors"} {
		entries, _, _ := unstructured.NestedSlice(status, field)
		for _, entry := range entries {
			if entry.(map[string]any)["controllerName"] == others {
				list, _ := out[field].([]any)
				out[field] = append(list, entry)
			}
		}
	}
	if strings.HasPrefix(o.GetKind(), "Gateway") {
		if conditions := special(status["conditions"]); conditions != nil {
			out["conditions"] = conditions
		}
		listeners, _, _ := unstructured.NestedSlice(status, "listeners")
		for _, listener := range listeners {
			if conditions := special(listener.(map[string]any)["conditions"]); conditions != nil {
				out[fmt.Sprint("listener ", listener.(map[string]any)["name"])] = conditions
			}
		}
	}
	return out
}

// special are the conditions that only the test's controller sets.
func special(conditions any) (out []any) {
	list, _ := conditions.([]any)
	for _, c := range list {
		if strings.HasPrefix(c.(map[string]any)["type"].(string), "example.com/") {
			out = append(out, c)
		}
	}
	return out
}

// checkOwners fails for each reference to an owner of the test that has another uid than the owner, and for each object that
// the garbage collector has taken, of the ConfigMaps that belong to Gateways.
func checkOwners(t *testing.T, config *rest.Config, objects snapshot, dependents int) {
	t.Helper()
	uids := map[string]string{}
	for _, o := range objects {
		uids[fmt.Sprintf("%s %s/%s", o.GetKind(), o.GetNamespace(), o.GetName())] = string(o.GetUID())
	}
	owned := 0
	check := func(o *unstructured.Unstructured) {
		for _, reference := range o.GetOwnerReferences() {
			owned++
			if uid := uids[fmt.Sprintf("%s %s/%s", reference.Kind, o.GetNamespace(), reference.Name)]; uid != string(reference.UID) {
				t.Errorf("%s %s/%s belongs to %s %s with uid %s, which has uid %s", o.GetKind(), o.GetNamespace(), o.GetName(), reference.Kind, reference.Name, reference.UID, uid)
			}
		}
	}
	for _, o := range objects {
		check(o)
	}
	client := dynamic.NewForConfigOrDie(unlimited(config))
	list, err := client.Resource(configMaps).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	left := 0
	for i := range list.Items {
		if strings.HasPrefix(list.Items[i].GetName(), "owned-by-") {
			left++
			check(&list.Items[i])
		}
	}
	if left != dependents {
		t.Errorf("%d ConfigMaps that belong to Gateways are left of %d", left, dependents)
	}
	if owned < 100 {
		t.Errorf("only %d references to owners were checked", owned)
	}
}
