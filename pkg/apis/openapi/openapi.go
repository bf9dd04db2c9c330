package openapi

import (
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	namer "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"
	gateway "sigs.k8s.io/gateway-api/pkg/generated/openapi"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/openapi/internal/generated"
)

// GetOpenAPIDefinitions returns the definitions of all served types and of what they refer to, by the names that
// DefinitionName takes.
func GetOpenAPIDefinitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	names := map[string]string{}
	naming := func(name string) spec.Ref {
		r := ref(name)
		names[r.String()] = name
		return r
	}
	definitions := gateway.GetOpenAPIDefinitions(naming)
	for name, d := range definitions {
		withoutMarkers(&d.Schema)
		definitions[name] = d
	}
	maps.Copy(definitions, generated.GetOpenAPIDefinitions(naming))

	c := completer{generated: definitions, names: names, completed: map[string]spec.Schema{}}
	// The hubs come first: other versions share most types with them.
	for _, kind := range apis.DefinedKinds {
		c.complete(definitionOf(kind.Hub()), crd.Lookup(kind.Hub().GroupVersionKind).OpenAPI())
	}
	for _, kind := range apis.DefinedKinds {
		for _, version := range kind[1:] {
			name := definitionOf(version)
			c.complete(name, crd.Lookup(version.GroupVersionKind).OpenAPI())
			c.describe(name, definitionOf(kind.Hub()))
		}
	}
	for name, schema := range c.completed {
		definitions[name] = common.OpenAPIDefinition{Schema: schema, Dependencies: c.dependencies(&schema)}
	}
	return definitions
}

// definitionOf returns the name of the definition of a version of a kind.
func definitionOf(version apis.Version) string { return util.GetCanonicalTypeName(version.New()) }

// DefinitionName returns the function that names definitions in the published specification and adds their
// group-version-kinds, as in GetDefinitionName of the OpenAPI configurations. The scheme must not have types as
// __internal.
//
// Types of Kubernetes name themselves (io.k8s.api.core.v1.Service). Those of the Gateway API do not, and their
// definitions are keyed by Go paths, which the scheme turns around in the same way.
func DefinitionName(scheme *runtime.Scheme) func(name string) (string, spec.Extensions) {
	names := namer.NewDefinitionNamer(scheme)
	return func(name string) (string, spec.Extensions) {
		if strings.Contains(name, "/") {
			name = util.ToRESTFriendlyName(name)
		}
		return names.GetDefinitionName(name)
	}
}
