package transfer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The groups of the Gateway API.
const (
	gatewayGroup  = "gateway.networking.k8s.io"
	gatewayXGroup = "gateway.networking.x-k8s.io"
)

// ownGroup is that of gateway-apiserver's own kinds, which nobody else serves.
const ownGroup = "gateway-apiserver.dev"

// nodeKind is what a server says of the nodes that are connected to it, which nobody else can write.
var nodeKind = schema.GroupKind{Group: ownGroup, Kind: "EnvoyNode"}

// aggregationGroup is served by servers that pass requests on to other servers, of which gateway-apiserver may be one.
const aggregationGroup = "apiregistration.k8s.io"

var (
	namespaceKind = schema.GroupKind{Kind: "Namespace"}
	secretKind    = schema.GroupKind{Kind: "Secret"}
)

// coreKinds are the kinds of Kubernetes that a standalone server stores. Events are not among them: they
// are gone in an hour.
var coreKinds = []schema.GroupKind{
	namespaceKind, {Kind: "ConfigMap"}, secretKind, {Kind: "Service"}, {Group: "discovery.k8s.io", Kind: "EndpointSlice"},
}

// views are the kinds whose objects gateway-apiserver stores as objects of another kind, and that kind.
var views = map[schema.GroupKind]schema.GroupKind{
	{Group: gatewayGroup, Kind: "BackendLBPolicy"}: {Group: gatewayXGroup, Kind: "XBackendTrafficPolicy"},
	{Group: gatewayXGroup, Kind: "XListenerSet"}:   {Group: gatewayGroup, Kind: "ListenerSet"},
	{Group: gatewayGroup, Kind: "ReferencePolicy"}: {Group: gatewayGroup, Kind: "ReferenceGrant"},
}

// stored returns the kind as which a kind may be stored.
func stored(gk schema.GroupKind) schema.GroupKind {
	if of, ok := views[gk]; ok {
		return of
	}
	return gk
}

// order holds the kinds that others refer to or belong in, each after those that it needs: but for EnvoyFleets, which do
// without the Service of their tracing for a while.
var order = []string{
	"Namespace", "EnvoyFleet", "GatewayClass", "XMesh", "ReferenceGrant", "ConfigMap", "Secret", "Service", "EndpointSlice", "XBackend",
	"Gateway", "ListenerSet", "BackendTLSPolicy", "XBackendTrafficPolicy",
}

// rank orders the kinds so that what is referred to comes before what refers to it.
func rank(gk schema.GroupKind) int {
	if i := slices.Index(order, stored(gk).Kind); i >= 0 {
		return i
	}
	return len(order)
}

// selected is a kind to export, in the version to export it in.
type selected struct {
	servedVersion
	chosen bool // by the user
}

// choose returns the kinds to export, in the order in which to export them. versions are the choices of the user.
func (c *catalog) choose(versions map[string]string, exported func(schema.GroupKind) bool) ([]selected, error) {
	chosen := map[*servedKind]servedVersion{}
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		k, err := c.named(name, exported)
		if err != nil {
			return nil, err
		}
		v, ok := k.version(versions[name])
		if !ok {
			return nil, fmt.Errorf("%s has no version %q here, but %s", k.Kind, versions[name], k.versionNames())
		}
		if before, ok := chosen[k]; ok && before != v {
			return nil, fmt.Errorf("%s can be exported in one version, not in both %s and %s", k.Kind, before.Version, v.Version)
		}
		chosen[k] = v
	}
	var out []selected
	for _, k := range c.kinds {
		if !exported(k.GroupKind) {
			continue
		}
		s := selected{servedVersion: k.versions[0]}
		if v, ok := chosen[k]; ok {
			s = selected{servedVersion: v, chosen: true}
		}
		out = append(out, s)
	}
	slices.SortFunc(out, compareSelected)
	return out, nil
}

// compareSelected orders by rank. Of kinds that show the same objects the first exports them: that one which was chosen,
// or else the one which is stored.
func compareSelected(a, b selected) int {
	first := func(x, y bool) int {
		switch {
		case x == y:
			return 0
		case x:
			return -1
		}
		return 1
	}
	isView := func(s selected) bool { _, ok := views[s.GroupKind()]; return ok }
	return cmp.Or(
		cmp.Compare(rank(a.GroupKind()), rank(b.GroupKind())),
		cmp.Compare(stored(a.GroupKind()).Kind, stored(b.GroupKind()).Kind),
		first(a.chosen, b.chosen),
		first(isView(b), isView(a)),
		cmp.Compare(a.Group, b.Group),
		cmp.Compare(a.Kind, b.Kind),
	)
}

// named returns the kind that a user means by one of its names, alone or followed by a dot and the group.
func (c *catalog) named(name string, exported func(schema.GroupKind) bool) (*servedKind, error) {
	var found []*servedKind
	var known []string
	for _, k := range c.kinds {
		if !exported(k.GroupKind) {
			continue
		}
		known = append(known, fmt.Sprintf("%s (%s)", strings.ToLower(k.Kind), k.versionNames()))
		if slices.ContainsFunc(k.names, func(n string) bool { return strings.EqualFold(name, n) || strings.EqualFold(name, n+"."+k.Group) }) {
			found = append(found, k)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		slices.Sort(known)
		return nil, fmt.Errorf("there is no kind %q to export, but %s", name, strings.Join(known, ", "))
	}
	return nil, fmt.Errorf("%q is short for both %s and %s: say which", name, found[0].Kind, found[1].Kind)
}
