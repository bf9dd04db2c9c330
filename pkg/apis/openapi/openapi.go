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

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/openapi/internal/kubernetes"
)

// GetOpenAPIDefinitions returns the definitions of all served types and of what they refer to, by the names that
// DefinitionName takes.
func GetOpenAPIDefinitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	definitions := gateway.GetOpenAPIDefinitions(ref)
	for name, definition := range definitions {
		if properties := constraints()[name]; properties != nil {
			constrain(&definition.Schema, properties)
			definitions[name] = definition
		}
	}
	maps.Copy(definitions, kubernetes.GetOpenAPIDefinitions(ref))
	return definitions
}

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
