package registry

import (
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/core"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

// eventTTLSeconds is how long Events are kept, as in kube-apiserver.
const eventTTLSeconds = 60 * 60

// modelled are the kinds that the Model holds, besides those of CoreKinds.
var modelled = sets.New(
	"GatewayClass", "Gateway", "ListenerSet", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute",
	"ReferenceGrant", "BackendTLSPolicy", "XBackendTrafficPolicy", "XBackend", "XMesh", "EnvoyFleet",
)

// GatewayKinds are the kinds of the Gateway API. Their names, columns and rules are those of the official CRDs; channel
// says of which.
func GatewayKinds(channel crd.Channel) []*Kind { return definedKinds(apis.GatewayKinds, channel) }

// OwnKinds are the kinds of this project's own group, which are the same in all channels: those that people write, and those
// that they only read.
func OwnKinds() []*Kind {
	observed := definedKinds(apis.ObservedKinds, crd.ExperimentalChannel)
	for _, k := range observed {
		k.ReadOnly, k.Generation = true, false
	}
	return append(definedKinds(apis.OwnKinds, crd.ExperimentalChannel), observed...)
}

// definedKinds are kinds that have CustomResourceDefinitions.
func definedKinds(kinds []apis.Kind, channel crd.Channel) []*Kind {
	var defined []*Kind
	for _, kind := range kinds {
		defined = append(defined, definedKind(kind, channel))
	}
	return defined
}

func definedKind(kind apis.Kind, channel crd.Channel) *Kind {
	hub := kind.Hub()
	s := crd.Lookup(hub.GroupVersionKind)
	k := &Kind{
		Namespaced: s.Namespaced(),
		New:        hub.New,
		NewList:    hub.NewList,
		Modelled:   modelled.Has(hub.Kind),
		Generation: true,
		Attributes: attributes,

		DefaultStatus: s.DefaultStatus,
		Prepare: func(obj, old runtime.Object) {
			s.Default(obj) // an older version has no defaults for newer fields
			if old == nil {
				s.SetInitialStatus(obj)
			}
		},
	}
	for _, v := range kind {
		k.Versions = append(k.Versions, definedVersion(v, hub, channel))
	}
	return k
}

func definedVersion(v, hub apis.Version, channel crd.Channel) *Version {
	s := crd.Lookup(v.GroupVersionKind)
	names := s.Names()
	return &Version{
		GroupVersionKind: v.GroupVersionKind,
		Resource:         names.Plural,
		Singular:         names.Singular,
		ShortNames:       names.ShortNames,
		Categories:       names.Categories,
		NewList:          v.NewList,
		Status:           s.HasStatus(),
		Rules:            rulesOf(v, hub, channel),
		Columns:          s.Columns(),
		Warnings:         warningsOf(v, hub, channel, modelled.Has(hub.Kind)),
		Keep:             keepOf(v, hub),
		Lost:             lostOf(v, hub),
		Deprecated:       s.DeprecationWarning(),
	}
}

// CoreKinds are the kinds that a Gateway needs and that a cluster would have, as package apis lists them.
func CoreKinds() []*Kind {
	kinds := map[string]*Kind{
		"Namespace": {
			Versions: []*Version{{Resource: "namespaces", Singular: "namespace", ShortNames: []string{"ns"}, Columns: namespaceColumns, Status: true}},
			Modelled: true, Prepare: prepareNamespace, Emptied: emptiedNamespace,
		},
		"Service": {
			Versions: []*Version{{
				Resource: "services", Singular: "service", ShortNames: []string{"svc"}, Categories: []string{"all"},
				Columns: serviceColumns, Status: true,
			}},
			Namespaced: true, Modelled: true,
		},
		"Secret": {
			Versions:   []*Version{{Resource: "secrets", Singular: "secret", Columns: secretColumns}},
			Namespaced: true, Modelled: true,
		},
		"ConfigMap": {
			Versions:   []*Version{{Resource: "configmaps", Singular: "configmap", ShortNames: []string{"cm"}, Columns: configMapColumns}},
			Namespaced: true, Modelled: true,
		},
		"Event": {
			Versions:   []*Version{{Resource: "events", Singular: "event", ShortNames: []string{"ev"}, Columns: eventColumns}},
			Namespaced: true, TTLSeconds: eventTTLSeconds,
		},
		"EndpointSlice": {
			Versions:   []*Version{{Resource: "endpointslices", Singular: "endpointslice", Columns: endpointSliceColumns}},
			Namespaced: true, Modelled: true, Generation: true,
		},
	}
	var ordered []*Kind
	for _, kind := range apis.CoreKinds {
		hub := kind.Hub()
		k := kinds[hub.Kind]
		k.New, k.NewList, k.Attributes = hub.New, hub.NewList, attributes
		v := k.Stored()
		v.GroupVersionKind, v.NewList, v.Rules = hub.GroupVersionKind, hub.NewList, core.Rules(hub.Kind)
		ordered = append(ordered, k)
	}
	return ordered
}

// attributes are the labels and fields by which an object can be selected.
func attributes(obj runtime.Object) (labels.Set, fields.Set, error) {
	m, err := meta.Accessor(obj)
	if err != nil {
		return nil, nil, err
	}
	return m.GetLabels(), apis.SelectableFields(obj), nil
}
