package registry

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/core"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

// eventTTLSeconds is how long Events are kept, as in kube-apiserver.
const eventTTLSeconds = 60 * 60

// GatewayKinds are the kinds of the Gateway API. Their names, columns and rules are those of the official CRDs.
func GatewayKinds() []*Kind {
	return []*Kind{
		gatewayKind("GatewayClass", true, func() runtime.Object { return &gwv1.GatewayClass{} }, func() runtime.Object { return &gwv1.GatewayClassList{} }),
		gatewayKind("Gateway", true, func() runtime.Object { return &gwv1.Gateway{} }, func() runtime.Object { return &gwv1.GatewayList{} }),
		gatewayKind("HTTPRoute", true, func() runtime.Object { return &gwv1.HTTPRoute{} }, func() runtime.Object { return &gwv1.HTTPRouteList{} }),
		gatewayKind("GRPCRoute", true, func() runtime.Object { return &gwv1.GRPCRoute{} }, func() runtime.Object { return &gwv1.GRPCRouteList{} }),
		gatewayKind("ReferenceGrant", false, func() runtime.Object { return &gwv1.ReferenceGrant{} }, func() runtime.Object { return &gwv1.ReferenceGrantList{} }),
	}
}

func gatewayKind(kind string, status bool, newObject, newList func() runtime.Object) *Kind {
	s := crd.Lookup(schema.GroupVersion(gwv1.GroupVersion).WithKind(kind))
	names := s.Names()
	return &Kind{
		GroupKind:  schema.GroupKind{Group: gwv1.GroupName, Kind: kind},
		Versions:   []string{gwv1.GroupVersion.Version},
		Resource:   names.Plural,
		Singular:   names.Singular,
		ShortNames: names.ShortNames,
		Categories: names.Categories,
		Namespaced: s.Namespaced(),
		New:        newObject,
		NewList:    newList,
		Rules:      s,
		Columns:    s.Columns(),
		Status:     status,
		Modelled:   true,
		Generation: true,
		Attributes: attributes,

		DefaultStatus: s.DefaultStatus,
		Prepare: func(obj, old runtime.Object) {
			if old == nil {
				s.SetInitialStatus(obj)
			}
		},
	}
}

// CoreKinds are the kinds that a Gateway needs and that a cluster would have.
func CoreKinds() []*Kind {
	kinds := []*Kind{
		{
			GroupKind: schema.GroupKind{Kind: "Namespace"},
			Resource:  "namespaces", Singular: "namespace", ShortNames: []string{"ns"},
			New: func() runtime.Object { return &corev1.Namespace{} }, NewList: func() runtime.Object { return &corev1.NamespaceList{} },
			Columns: namespaceColumns, Status: true, Modelled: true, Prepare: prepareNamespace, Emptied: emptiedNamespace,
		},
		{
			GroupKind: schema.GroupKind{Kind: "Service"},
			Resource:  "services", Singular: "service", ShortNames: []string{"svc"}, Categories: []string{"all"}, Namespaced: true,
			New: func() runtime.Object { return &corev1.Service{} }, NewList: func() runtime.Object { return &corev1.ServiceList{} },
			Columns: serviceColumns, Status: true, Modelled: true,
		},
		{
			GroupKind: schema.GroupKind{Kind: "Secret"},
			Resource:  "secrets", Singular: "secret", Namespaced: true,
			New: func() runtime.Object { return &corev1.Secret{} }, NewList: func() runtime.Object { return &corev1.SecretList{} },
			Columns: secretColumns, Modelled: true,
		},
		{
			GroupKind: schema.GroupKind{Kind: "ConfigMap"},
			Resource:  "configmaps", Singular: "configmap", ShortNames: []string{"cm"}, Namespaced: true,
			New: func() runtime.Object { return &corev1.ConfigMap{} }, NewList: func() runtime.Object { return &corev1.ConfigMapList{} },
			Columns: configMapColumns,
		},
		{
			GroupKind: schema.GroupKind{Kind: "Event"},
			Resource:  "events", Singular: "event", ShortNames: []string{"ev"}, Namespaced: true,
			New: func() runtime.Object { return &corev1.Event{} }, NewList: func() runtime.Object { return &corev1.EventList{} },
			Columns: eventColumns, TTLSeconds: eventTTLSeconds,
		},
		{
			GroupKind: schema.GroupKind{Group: discoveryv1.GroupName, Kind: "EndpointSlice"},
			Resource:  "endpointslices", Singular: "endpointslice", Namespaced: true,
			New: func() runtime.Object { return &discoveryv1.EndpointSlice{} }, NewList: func() runtime.Object { return &discoveryv1.EndpointSliceList{} },
			Columns: endpointSliceColumns, Modelled: true, Generation: true,
		},
	}
	for _, k := range kinds {
		k.Versions = []string{"v1"}
		k.Rules = core.Rules(k.Kind)
		k.Attributes = attributes
	}
	return kinds
}

// attributes are the labels and fields by which an object can be selected.
func attributes(obj runtime.Object) (labels.Set, fields.Set, error) {
	m, err := meta.Accessor(obj)
	if err != nil {
		return nil, nil, err
	}
	return m.GetLabels(), apis.SelectableFields(obj), nil
}
