package crd

import (
	"slices"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// Schema is one version of one kind, as its CustomResourceDefinition has it. It is safe for concurrent use.
//
// The objects given to its methods must be pointers to a struct with the fields of the version. Which Go type that is
// doesn't matter: it may be the version's own or the hub's, if the one is a conversion of the other.
type Schema struct {
	gvk     schema.GroupVersionKind
	names   apiextensionsv1.CustomResourceDefinitionNames
	scope   apiextensionsv1.ResourceScope
	columns rest.TableConvertor
	printed []apiextensionsv1.CustomResourceColumnDefinition
	status  bool
	warning string

	// accepts says of a pointer to a spec that it surely keeps the schema, the list types and the rules that look at no old
	// value. If it says no, or is nil, that is for the libraries to find out.
	accepts func(spec any) bool

	// structure is what the schema says of spec and status. Others may have the same.
	structure *structure
	// plans are where a Go type has fields with defaults, and fields that the schema doesn't define: *plans, by the
	// type of spec.
	plans sync.Map
}

// Lookup returns the schema of gvk in the experimental channel, or nil if gvk is not defined by a
// CustomResourceDefinition that this server serves.
func Lookup(gvk schema.GroupVersionKind) *Schema { return index()[gvk].experimental }

// Standard returns the schema of gvk in the standard channel, or nil if gvk is not in that channel.
func Standard(gvk schema.GroupVersionKind) *Schema { return index()[gvk].standard }

// Load parses the schemas of the experimental channel in parallel and returns when they are ready. Without it each is
// parsed when it is needed first.
func Load() {
	var all sync.WaitGroup
	for _, s := range index() {
		all.Go(func() { s.experimental.structure.parse() })
	}
	all.Wait()
}

// Names returns the plural, singular and short names, the kinds and the categories.
func (s *Schema) Names() apiextensionsv1.CustomResourceDefinitionNames { return s.names }

// Namespaced says whether objects live in namespaces.
func (s *Schema) Namespaced() bool { return s.scope == apiextensionsv1.NamespaceScoped }

// HasStatus says whether there is a status subresource.
func (s *Schema) HasStatus() bool { return s.status }

// Columns returns the convertor to tables with the columns that kubectl get prints, wide ones included.
func (s *Schema) Columns() rest.TableConvertor { return s.columns }

// Definition returns the version as it is in a CustomResourceDefinition, served and not stored. Its schema has no
// descriptions. It is made anew by each call, which takes about a millisecond.
func (s *Schema) Definition() apiextensionsv1.CustomResourceDefinitionVersion {
	v := apiextensionsv1.CustomResourceDefinitionVersion{
		Name: s.gvk.Version, Served: true,
		AdditionalPrinterColumns: slices.Clone(s.printed),
		Schema:                   &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: s.structure.props()},
	}
	if s.status {
		v.Subresources = &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}}
	}
	if s.warning != "" {
		v.Deprecated, v.DeprecationWarning = true, &s.warning
	}
	return v
}

// DeprecationWarning returns what clients that use this version are to be told, or "" if it is a current one: upstream's
// text for the versions that it deprecated, one in the same form for those that it removed without a word.
func (s *Schema) DeprecationWarning() string { return s.warning }

// OpenAPI returns the schema without descriptions, types not shared but spelled out. It must not be changed.
func (s *Schema) OpenAPI() *spec.Schema { return s.structure.parse().openAPI }

// Same says whether s and other demand and set the same. It is cheap.
func (s *Schema) Same(other *Schema) bool { return s.structure == other.structure }
