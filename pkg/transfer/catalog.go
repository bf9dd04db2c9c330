package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

// catalog is what a server serves.
type catalog struct {
	kinds []*servedKind
	// unavailable are the group versions of which the server could not tell what it serves, as when what serves them is down.
	unavailable map[schema.GroupVersion]error
}

// servedKind is a kind in all versions in which it is served, the server's preferred one first.
type servedKind struct {
	schema.GroupKind
	// names are all by which the kind is known, in lower case.
	names    []string
	versions []servedVersion
}

// servedVersion is a kind in one version.
type servedVersion struct {
	schema.GroupVersionKind
	resource   string
	namespaced bool
	// status says that there is a status subresource.
	status bool
}

func (v servedVersion) gvr() schema.GroupVersionResource {
	return v.GroupVersion().WithResource(v.resource)
}

// discover asks a server what it serves.
func discover(ctx context.Context, config *rest.Config) (*catalog, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	groups, lists, err := client.ServerGroupsAndResourcesWithContext(ctx)
	c := &catalog{}
	var partly bool
	if c.unavailable, partly = discovery.GroupDiscoveryFailedErrorGroups(err); err != nil && !partly {
		return nil, fmt.Errorf("asking the server what it serves: %w", err)
	}
	byVersion := map[string][]metav1.APIResource{}
	for _, list := range lists {
		byVersion[list.GroupVersion] = list.APIResources
	}
	for _, group := range groups {
		for _, version := range group.Versions {
			gv := schema.GroupVersion{Group: group.Name, Version: version.Version}
			for _, resource := range byVersion[version.GroupVersion] {
				if !strings.Contains(resource.Name, "/") {
					c.add(gv, resource)
				}
			}
			for _, resource := range byVersion[version.GroupVersion] {
				if name, ok := strings.CutSuffix(resource.Name, "/status"); ok {
					c.addStatus(gv, name)
				}
			}
		}
	}
	return c, nil
}

func (c *catalog) add(gv schema.GroupVersion, resource metav1.APIResource) {
	gk := schema.GroupKind{Group: gv.Group, Kind: resource.Kind}
	k := c.kind(gk)
	if k == nil {
		k = &servedKind{GroupKind: gk}
		c.kinds = append(c.kinds, k)
	}
	for _, name := range append([]string{resource.Kind, resource.SingularName, resource.Name}, resource.ShortNames...) {
		if name = strings.ToLower(name); name != "" && !slices.Contains(k.names, name) {
			k.names = append(k.names, name)
		}
	}
	k.versions = append(k.versions, servedVersion{
		GroupVersionKind: gv.WithKind(resource.Kind), resource: resource.Name, namespaced: resource.Namespaced,
	})
}

func (c *catalog) addStatus(gv schema.GroupVersion, resource string) {
	for _, k := range c.kinds {
		for i, v := range k.versions {
			if v.gvr() == gv.WithResource(resource) {
				k.versions[i].status = true
			}
		}
	}
}

// kind returns what is known of a kind, or nil.
func (c *catalog) kind(gk schema.GroupKind) *servedKind {
	for _, k := range c.kinds {
		if k.GroupKind == gk {
			return k
		}
	}
	return nil
}

// lookup returns the version of a kind that gvk names.
func (c *catalog) lookup(gvk schema.GroupVersionKind) (servedVersion, error) {
	k := c.kind(gvk.GroupKind())
	if k != nil {
		if v, ok := k.version(gvk.Version); ok {
			return v, nil
		}
	}
	if err := c.unavailable[gvk.GroupVersion()]; err != nil {
		return servedVersion{}, fmt.Errorf("the server cannot tell what it serves in %s: %w", gvk.GroupVersion(), err)
	}
	if k == nil {
		return servedVersion{}, fmt.Errorf("the server has no kind %s in %s", gvk.Kind, groupName(gvk.Group))
	}
	return servedVersion{}, fmt.Errorf("the server does not have %s in version %s, but in %s", gvk.Kind, gvk.Version, k.versionNames())
}

func (k *servedKind) version(name string) (servedVersion, bool) {
	i := slices.IndexFunc(k.versions, func(v servedVersion) bool { return v.Version == name })
	if i < 0 {
		return servedVersion{}, false
	}
	return k.versions[i], true
}

func (k *servedKind) versionNames() string {
	names := make([]string, len(k.versions))
	for i, v := range k.versions {
		names[i] = v.Version
	}
	return strings.Join(names, ", ")
}

func groupName(group string) string {
	if group == "" {
		return "the core group"
	}
	return group
}

// available refuses a server that could not tell what it serves in one of the groups.
func (c *catalog) available(groups ...string) error {
	var errs []error
	for gv, err := range c.unavailable {
		if slices.Contains(groups, gv.Group) {
			errs = append(errs, fmt.Errorf("the server cannot tell what it serves in %s: %w", gv, err))
		}
	}
	return errors.Join(errs...)
}
