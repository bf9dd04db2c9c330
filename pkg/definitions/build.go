package definitions

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/gateway-api/pkg/consts"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

// policyLabel says of a kind that its objects are policies, and in which way they attach (GEP-713).
const policyLabel = "gateway.networking.k8s.io/policy"

// policies are the kinds that upstream labels.
var policies = map[string]string{
	"BackendTLSPolicy":      "Direct",
	"BackendLBPolicy":       "Direct",
	"XBackendTrafficPolicy": "Direct",
}

// build makes the definitions of a channel, in the order of their names.
func build(channel crd.Channel, created time.Time) []*apiextensionsv1.CustomResourceDefinition {
	byKind := map[schema.GroupKind]*apiextensionsv1.CustomResourceDefinition{}
	for _, kind := range apis.DefinedKinds {
		for _, served := range kind {
			s := lookup(channel, served.GroupVersionKind)
			if s == nil {
				continue
			}
			d := byKind[served.GroupKind()]
			if d == nil {
				d = newDefinition(served.GroupKind(), s, channel, created)
				byKind[served.GroupKind()] = d
			}
			version := s.Definition()
			// The first is the hub or, of a kind that has moved, the one nearest to it.
			version.Storage = len(d.Spec.Versions) == 0
			d.Spec.Versions = append(d.Spec.Versions, version)
		}
	}
	for _, d := range byKind {
		apiextensionsv1.SetObjectDefaults_CustomResourceDefinition(d) // storedVersions too
		establish(d, created)
	}
	return slices.SortedFunc(maps.Values(byKind), func(a, b *apiextensionsv1.CustomResourceDefinition) int {
		return cmp.Compare(a.Name, b.Name)
	})
}

func lookup(channel crd.Channel, gvk schema.GroupVersionKind) *crd.Schema {
	if channel == crd.StandardChannel {
		return crd.Standard(gvk)
	}
	return crd.Lookup(gvk)
}

// newDefinition makes a definition without versions.
func newDefinition(kind schema.GroupKind, s *crd.Schema, channel crd.Channel, created time.Time) *apiextensionsv1.CustomResourceDefinition {
	name := s.Names().Plural + "." + kind.Group
	d := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{
			Name:              name,
			UID:               types.UID(uuid.NewSHA1(uuid.NameSpaceDNS, []byte(name)).String()),
			Generation:        1,
			CreationTimestamp: metav1.NewTime(created),
		},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{Group: kind.Group, Names: s.Names(), Scope: apiextensionsv1.ClusterScoped},
	}
	if s.Namespaced() {
		d.Spec.Scope = apiextensionsv1.NamespaceScoped
	}
	if kind.Group != apis.FleetV1alpha1.Group {
		d.Annotations = map[string]string{
			consts.BundleVersionAnnotation:            consts.BundleVersion,
			consts.ChannelAnnotation:                  string(channel),
			apiextensionsv1.KubeAPIApprovedAnnotation: consts.ApprovalLink,
		}
	}
	if attachment, ok := policies[kind.Kind]; ok {
		d.Labels = map[string]string{policyLabel: attachment}
	}
	return d
}

// establish writes the status that kube-apiserver's controllers would, in their words.
func establish(d *apiextensionsv1.CustomResourceDefinition, at time.Time) {
	d.Status.AcceptedNames = d.Spec.Names
	is := func(condition apiextensionsv1.CustomResourceDefinitionConditionType, reason, message string) {
		d.Status.Conditions = append(d.Status.Conditions, apiextensionsv1.CustomResourceDefinitionCondition{
			Type: condition, Status: apiextensionsv1.ConditionTrue, Reason: reason, Message: message,
			LastTransitionTime: metav1.NewTime(at), ObservedGeneration: d.Generation,
		})
	}
	if apihelpers.IsProtectedCommunityGroup(d.Spec.Group) {
		_, reason := apihelpers.GetAPIApprovalState(d.Annotations)
		is(apiextensionsv1.KubernetesAPIApprovalPolicyConformant, "ApprovedAnnotation", reason)
	}
	is(apiextensionsv1.NamesAccepted, "NoConflicts", "no conflicts found")
	is(apiextensionsv1.Established, "InitialNamesAccepted", "the initial names have been accepted")
}
