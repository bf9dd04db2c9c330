package apiserver

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

// installGroups makes a store for every kind and serves it in each of the kind's versions.
func (s *Server) installGroups(kinds []*registry.Kind, options generic.RESTOptionsGetter, model Model) error {
	var order []string
	groups := map[string]*genericapiserver.APIGroupInfo{}
	for _, kind := range kinds {
		info := groups[kind.Group]
		if info == nil {
			made := genericapiserver.NewDefaultAPIGroupInfo(kind.Group, apis.Scheme, metav1.ParameterCodec, apis.Codecs)
			info = &made
			groups[kind.Group] = info
			order = append(order, kind.Group)
		}
		storage, err := s.storage(kind, options, model)
		if err != nil {
			return err
		}
		for _, version := range kind.Versions {
			if info.VersionedResourcesStorageMap[version] == nil {
				info.VersionedResourcesStorageMap[version] = map[string]rest.Storage{}
			}
			for resource, endpoint := range storage {
				info.VersionedResourcesStorageMap[version][resource] = endpoint
			}
		}
	}
	for _, group := range order {
		install := s.InstallAPIGroup
		if group == corev1.GroupName {
			install = func(info *genericapiserver.APIGroupInfo) error {
				return s.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, info)
			}
		}
		if err := install(groups[group]); err != nil {
			return fmt.Errorf("serving API group %q: %w", group, err)
		}
	}
	return nil
}

// storage makes the endpoints of a kind: its resource and, if it has one, its status subresource.
func (s *Server) storage(kind *registry.Kind, options generic.RESTOptionsGetter, model Model) (map[string]rest.Storage, error) {
	var said registry.Model // stays nil if model is
	if model != nil && kind.Modelled {
		said = model
	}
	store, err := registry.NewStore(kind, apis.Scheme, options, said)
	if err != nil {
		return nil, err
	}
	s.Stores[kind.GroupKind] = store
	endpoints := map[string]rest.Storage{kind.Resource: store}
	if kind.GroupKind == namespaceKind {
		endpoints[kind.Resource] = &registry.NamespaceStore{Store: store}
	}
	if kind.Status {
		endpoints[kind.Resource+"/status"] = registry.NewStatusEndpoint(store)
	}
	return endpoints, nil
}
