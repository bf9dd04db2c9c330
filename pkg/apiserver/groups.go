package apiserver

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

// definedGroups are the API groups whose kinds CustomResourceDefinitions define. Clients know these kinds from where they
// are served by those: without protobuf and without strategic merge patches.
var definedGroups = func() sets.Set[string] {
	groups := sets.New[string]()
	for _, kind := range apis.DefinedKinds {
		for _, v := range kind {
			groups.Insert(v.Group)
		}
	}
	return groups
}()

// installGroups makes a store for every kind and serves it in each of the kind's versions.
func (s *Server) installGroups(kinds []*registry.Kind, options generic.RESTOptionsGetter, model Model) error {
	var groups []*genericapiserver.APIGroupInfo
	byName := map[string]*genericapiserver.APIGroupInfo{}
	codecs := explainUnknownFields(understandPatched(apis.Codecs), kinds)
	for _, kind := range kinds {
		store, err := s.newStore(kind, options, model)
		if err != nil {
			return err
		}
		for _, v := range kind.Versions {
			info := byName[v.Group]
			if info == nil {
				made := genericapiserver.NewDefaultAPIGroupInfo(v.Group, apis.Scheme, metav1.ParameterCodec, apis.Codecs)
				info = &made
				info.NegotiatedSerializer = codecs
				if definedGroups.Has(v.Group) {
					info.NegotiatedSerializer = withoutProtobuf(codecs)
				}
				byName[v.Group] = info
				groups = append(groups, info)
			}
			if info.VersionedResourcesStorageMap[v.Version] == nil {
				info.VersionedResourcesStorageMap[v.Version] = map[string]rest.Storage{}
			}
			addEndpoints(info.VersionedResourcesStorageMap[v.Version], store, v)
		}
	}
	// All groups but the core one are installed together: server-side apply converts between groups where a kind is
	// served in two of them.
	var named []*genericapiserver.APIGroupInfo
	for _, info := range groups {
		// The scheme also has versions in which nothing is served, for kinds that have moved between groups.
		info.PrioritizedVersions = slices.DeleteFunc(info.PrioritizedVersions, func(gv schema.GroupVersion) bool {
			return len(info.VersionedResourcesStorageMap[gv.Version]) == 0
		})
		if info.PrioritizedVersions[0].Group == corev1.GroupName {
			if err := s.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, info); err != nil {
				return fmt.Errorf("serving the core API group: %w", err)
			}
			continue
		}
		named = append(named, info)
	}
	if err := s.InstallAPIGroups(named...); err != nil {
		return fmt.Errorf("serving API groups: %w", err)
	}
	return nil
}

func (s *Server) newStore(kind *registry.Kind, options generic.RESTOptionsGetter, model Model) (*registry.Store, error) {
	var said registry.Model // stays nil if model is
	if model != nil && kind.Modelled {
		said = model
	}
	store, err := registry.NewStore(kind, options, said)
	if err != nil {
		return nil, err
	}
	s.Stores[kind.GroupKind()] = store
	return store, nil
}

// addEndpoints serves a store in one version: its resource and, if it has one, its status subresource.
func addEndpoints(endpoints map[string]rest.Storage, store *registry.Store, v *registry.Version) {
	endpoint := store.In(v)
	if store.Kind.ReadOnly {
		endpoints[v.Resource] = registry.NewReadOnlyEndpoint(endpoint)
		return
	}
	endpoints[v.Resource] = endpoint
	if store.Kind.GroupKind() == namespaceKind {
		endpoints[v.Resource] = &registry.NamespaceStore{Store: store}
	}
	if v.Status {
		endpoints[v.Resource+"/status"] = registry.NewStatusEndpoint(endpoint)
	}
}
