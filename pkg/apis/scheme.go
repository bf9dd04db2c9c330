package apis

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/core"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

var (
	// Scheme knows every served type in its versions and as __internal, with defaults and field labels.
	Scheme = newScheme(true)

	// VersionedScheme is Scheme without __internal. OpenAPI definitions are named after it: a type that carries
	// two group-version-kinds there makes server-side apply fail.
	VersionedScheme = newScheme(false)

	// Codecs encodes and decodes the types of Scheme. Stores must use JSON: Gateway API types have no protobuf.
	Codecs = serializer.NewCodecFactory(Scheme)

	// ParameterCodec decodes query parameters (ListOptions, CreateOptions and their like).
	ParameterCodec = runtime.NewParameterCodec(Scheme)
)

// served lists the types of each group version. The first version of a group is its preferred one.
var served = []struct {
	version schema.GroupVersion
	types   []runtime.Object
}{
	{
		schema.GroupVersion(gatewayv1.GroupVersion),
		[]runtime.Object{
			&gatewayv1.GatewayClass{}, &gatewayv1.GatewayClassList{},
			&gatewayv1.Gateway{}, &gatewayv1.GatewayList{},
			&gatewayv1.HTTPRoute{}, &gatewayv1.HTTPRouteList{},
			&gatewayv1.GRPCRoute{}, &gatewayv1.GRPCRouteList{},
			&gatewayv1.ReferenceGrant{}, &gatewayv1.ReferenceGrantList{},
		},
	},
	{
		corev1.SchemeGroupVersion,
		[]runtime.Object{
			&corev1.Namespace{}, &corev1.NamespaceList{},
			&corev1.Service{}, &corev1.ServiceList{},
			&corev1.Secret{}, &corev1.SecretList{},
			&corev1.ConfigMap{}, &corev1.ConfigMapList{},
			&corev1.Event{}, &corev1.EventList{},
		},
	},
	{
		discoveryv1.SchemeGroupVersion,
		[]runtime.Object{&discoveryv1.EndpointSlice{}, &discoveryv1.EndpointSliceList{}},
	},
}

func newScheme(hub bool) *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(addToScheme(s, hub))
	return s
}

// addToScheme registers every served type, and with hub also as __internal.
func addToScheme(s *runtime.Scheme, hub bool) error {
	for _, group := range served {
		metav1.AddToGroupVersion(s, group.version)
		s.AddKnownTypes(group.version, group.types...)
		if hub {
			s.AddKnownTypes(schema.GroupVersion{Group: group.version.Group, Version: runtime.APIVersionInternal}, group.types...)
		}
		if err := s.SetVersionPriority(group.version); err != nil {
			return err
		}
	}
	core.AddDefaults(s)
	addSchemaDefaults(s, schema.GroupVersion(gatewayv1.GroupVersion))
	return addFieldLabels(s)
}

// addSchemaDefaults makes the kinds of version default by their CustomResourceDefinitions. These are looked up when
// they are needed first: a command that only reads manifests or talks to a server never parses them.
func addSchemaDefaults(s *runtime.Scheme, version schema.GroupVersion) {
	for kind, goType := range s.KnownTypes(version) {
		obj, ok := reflect.New(goType).Interface().(metav1.Object)
		if !ok {
			continue // a list, or options
		}
		gvk := version.WithKind(kind)
		s.AddTypeDefaultingFunc(obj.(runtime.Object), func(obj any) { crd.Lookup(gvk).Default(obj.(runtime.Object)) })
	}
}
