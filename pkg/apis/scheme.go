package apis

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/core"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/gateway/v1alpha2"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/gateway/v1alpha3"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/gateway/v1beta1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/gatewayx/v1alpha1"
)

var (
	// Scheme knows every served type in its versions and as __internal, with conversions, defaults and field labels.
	Scheme = newScheme(true)

	// VersionedScheme is Scheme without __internal. OpenAPI definitions are named after it: a type that carries
	// two group-version-kinds there makes server-side apply fail.
	VersionedScheme = newScheme(false)

	// Codecs encodes and decodes the types of Scheme. Stores must use JSON: Gateway API types and our own have no protobuf.
	Codecs = serializer.NewCodecFactory(Scheme)
)

// StorageVersions are the versions in which objects are stored: those of the hubs.
var StorageVersions = func() (hubs []schema.GroupVersion) {
	for _, kind := range slices.Concat(DefinedKinds, CoreKinds) {
		if gv := kind.Hub().GroupVersion(); !slices.Contains(hubs, gv) {
			hubs = append(hubs, gv)
		}
	}
	return hubs
}()

func newScheme(hub bool) *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(addToScheme(s, hub))
	return s
}

// addToScheme registers every served version, and with hub the hubs also as __internal.
func addToScheme(s *runtime.Scheme, hub bool) error {
	for _, kind := range slices.Concat(DefinedKinds, CoreKinds) {
		for _, v := range kind {
			register(s, v.GroupVersion(), v.Kind, v)
		}
		if hub {
			registerHub(s, kind)
		}
	}
	// The first version of a group is the preferred one.
	for _, versions := range [][]schema.GroupVersion{
		{GatewayV1, GatewayV1beta1, GatewayV1alpha3, GatewayV1alpha2},
		{GatewayXV1alpha1},
		{FleetV1alpha1},
		{corev1.SchemeGroupVersion},
		{discoveryv1.SchemeGroupVersion},
	} {
		if err := s.SetVersionPriority(versions...); err != nil {
			return err
		}
		for _, gv := range versions {
			metav1.AddToGroupVersion(s, gv)
		}
	}
	for _, add := range []func(*runtime.Scheme) error{
		v1beta1.AddConversions, v1alpha3.AddConversions, v1alpha2.AddConversions, v1alpha1.AddConversions, addFieldLabels,
	} {
		if err := add(s); err != nil {
			return err
		}
	}
	core.AddDefaults(s)
	addSchemaDefaults(s)
	return nil
}

// registerHub registers the hub's type as __internal, in each group and by each name that the kind has, so that what
// serves the kind in another group finds it there.
func registerHub(s *runtime.Scheme, kind Kind) {
	for _, v := range kind {
		internal := schema.GroupVersion{Group: v.Group, Version: runtime.APIVersionInternal}
		if !s.Recognizes(internal.WithKind(v.Kind)) {
			register(s, internal, v.Kind, kind.Hub())
		}
		if hub := kind.Hub(); v.Group != hub.Group {
			// The way back: server-side apply converts the fields that a manager applied through the other group to the hub
			// of the group that is being served, and a type converts to a group only if it is registered in it.
			register(s, schema.GroupVersion{Group: hub.Group, Version: v.Version + "." + v.Group}, hub.Kind, v)
		}
	}
}

func register(s *runtime.Scheme, gv schema.GroupVersion, kind string, v Version) {
	s.AddKnownTypeWithName(gv.WithKind(kind), v.New())
	s.AddKnownTypeWithName(gv.WithKind(kind+"List"), v.NewList())
}

// addSchemaDefaults makes every version default by its CustomResourceDefinition. These are looked up when they are
// needed first: a command that only reads manifests or talks to a server never parses them. What clients don't write needs no
// defaults.
func addSchemaDefaults(s *runtime.Scheme) {
	for _, kind := range slices.Concat(GatewayKinds, OwnKinds) {
		for _, v := range kind {
			s.AddTypeDefaultingFunc(v.New(), func(obj any) { crd.Lookup(v.GroupVersionKind).Default(obj.(runtime.Object)) })
		}
	}
}
