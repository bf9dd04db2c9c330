package apis

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
)

// SelectableFields returns the fields of obj that a field selector can name, with their values: metadata.name,
// metadata.namespace and what kube-apiserver adds for the kind, or we do for one of our own. It is nil for an object without metadata.
func SelectableFields(obj runtime.Object) fields.Set {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return nil
	}
	set := kindFields(obj)
	if set == nil {
		set = fields.Set{}
	}
	set["metadata.name"] = accessor.GetName()
	set["metadata.namespace"] = accessor.GetNamespace()
	return set
}

func kindFields(obj runtime.Object) fields.Set {
	switch obj := obj.(type) {
	case *corev1.Namespace:
		return fields.Set{"status.phase": string(obj.Status.Phase)}
	case *corev1.Service:
		return fields.Set{"spec.clusterIP": obj.Spec.ClusterIP, "spec.type": string(obj.Spec.Type)}
	case *corev1.Secret:
		return fields.Set{"type": string(obj.Type)}
	case *fleetv1alpha1.EnvoyNode:
		return fields.Set{
			"status.nodeID":  obj.Status.NodeID,
			"status.scope":   obj.Status.Scope,
			"status.gateway": obj.Status.Gateway,
			"status.fleet":   obj.Status.Fleet,
		}
	case *corev1.Event:
		source := obj.Source.Component
		if source == "" {
			source = obj.ReportingController
		}
		return fields.Set{
			"involvedObject.kind":            obj.InvolvedObject.Kind,
			"involvedObject.namespace":       obj.InvolvedObject.Namespace,
			"involvedObject.name":            obj.InvolvedObject.Name,
			"involvedObject.uid":             string(obj.InvolvedObject.UID),
			"involvedObject.apiVersion":      obj.InvolvedObject.APIVersion,
			"involvedObject.resourceVersion": obj.InvolvedObject.ResourceVersion,
			"involvedObject.fieldPath":       obj.InvolvedObject.FieldPath,
			"reason":                         obj.Reason,
			"reportingComponent":             obj.ReportingController,
			"source":                         source,
			"type":                           obj.Type,
		}
	}
	return nil
}

// addFieldLabels makes the fields of kindFields known as field labels. Other kinds keep the scheme's rule:
// metadata.name and metadata.namespace only.
func addFieldLabels(s *runtime.Scheme) error {
	for _, kind := range slices.Concat(CoreKinds, ObservedKinds) {
		obj := kind.Hub().New()
		if kindFields(obj) == nil {
			continue
		}
		known := SelectableFields(obj)
		err := s.AddFieldLabelConversionFunc(kind.Hub().GroupVersionKind, func(label, value string) (string, string, error) {
			if !known.Has(label) {
				return "", "", fmt.Errorf("field label not supported: %s", label)
			}
			return label, value, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
