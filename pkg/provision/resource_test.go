package provision

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
)

func TestOwnership(t *testing.T) {
	t.Parallel()
	gateway := metav1.OwnerReference{APIVersion: "gateway.networking.k8s.io/v1", Kind: "Gateway", Name: "web", UID: "1", Controller: new(true)}
	with := func(change func(*metav1.OwnerReference)) []metav1.OwnerReference {
		owner := gateway
		change(&owner)
		return []metav1.OwnerReference{owner}
	}
	for name, tt := range map[string]struct {
		owners    []metav1.OwnerReference
		want      ownership
		belonging string
	}{
		"own":                       {[]metav1.OwnerReference{gateway}, own, "web"},
		"by another version":        {with(func(o *metav1.OwnerReference) { o.APIVersion = "gateway.networking.k8s.io/v1beta1" }), own, "web"},
		"of the one before":         {with(func(o *metav1.OwnerReference) { o.UID = "0" }), former, "web"},
		"of another Gateway":        {with(func(o *metav1.OwnerReference) { o.Name, o.UID = "other", "2" }), foreign, "other"},
		"nobody's":                  {nil, foreign, ""},
		"not controlled":            {with(func(o *metav1.OwnerReference) { o.Controller = nil }), foreign, ""},
		"of another kind":           {with(func(o *metav1.OwnerReference) { o.Kind = "GatewayClass" }), foreign, ""},
		"of the kind of a stranger": {with(func(o *metav1.OwnerReference) { o.APIVersion = "example.com/v1" }), foreign, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-example", OwnerReferences: tt.owners}}
			if got := ownershipOf(object, "web", "1"); got != tt.want {
				t.Errorf("it is %v, want %v", got, tt.want)
			}
			want := types.NamespacedName{}
			if tt.belonging != "" {
				want = types.NamespacedName{Namespace: "default", Name: tt.belonging}
			}
			if got := belongsTo(object); got != want {
				t.Errorf("it belongs to %v, want %v", got, want)
			}
		})
	}
}

func TestScaledByOthers(t *testing.T) {
	t.Parallel()
	object := &metav1.PartialObjectMetadata{}
	object.ManagedFields = []metav1.ManagedFieldsEntry{
		{Manager: "gateway-apiserver", Operation: metav1.ManagedFieldsOperationApply},
		{Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate, Subresource: "status"},
	}
	if scaledByOthers(object) {
		t.Error("its status isn't how many replicas it has")
	}
	object.ManagedFields = append(object.ManagedFields, metav1.ManagedFieldsEntry{
		Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate, Subresource: "scale",
	})
	if !scaledByOthers(object) {
		t.Error("what scales it isn't seen")
	}
}

func TestGatewayLabel(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("gateway.", 31) + "x" // 249 bytes
	seen := map[string]bool{}
	for _, name := range []string{"web", long, long + "y", strings.Repeat("a", 63), strings.Repeat("a", 64)} {
		label := GatewayLabel(name)
		if wrong := validation.IsValidLabelValue(label); len(wrong) > 0 || seen[label] {
			t.Errorf("%s: label %q: %v", name, label, wrong)
		}
		if len(name) <= 63 && label != name {
			t.Errorf("%s: label %q", name, label)
		}
		seen[label] = true
	}
}

func TestSameObject(t *testing.T) {
	t.Parallel()
	before := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "1", Generation: 1, Labels: map[string]string{"a": "b"}}}
	for name, tt := range map[string]struct {
		change func(*metav1.ObjectMeta)
		want   bool
	}{
		"the same":    {func(m *metav1.ObjectMeta) { m.ResourceVersion = "1" }, true},
		"status":      {func(*metav1.ObjectMeta) {}, true},
		"spec":        {func(m *metav1.ObjectMeta) { m.Generation = 2 }, false},
		"labels":      {func(m *metav1.ObjectMeta) { m.Labels = nil }, false},
		"annotations": {func(m *metav1.ObjectMeta) { m.Annotations = map[string]string{"a": "b"} }, false},
		"owners":      {func(m *metav1.ObjectMeta) { m.OwnerReferences = []metav1.OwnerReference{{Name: "x"}} }, false},
		"who knows":   {func(m *metav1.ObjectMeta) { m.Generation = 0 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			after := before.DeepCopy()
			after.ResourceVersion = "2"
			tt.change(&after.ObjectMeta)
			if got := sameObject(before, after); got != tt.want {
				t.Errorf("same: %v", got)
			}
		})
	}
}
