package apiserver

import (
	genericapiserver "k8s.io/apiserver/pkg/server"
	openapicommon "k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/openapi"
)

// configureOpenAPI publishes the definitions of the served kinds as OpenAPI v2 and v3. Server-side apply and kubectl
// explain depend on them.
func configureOpenAPI(config *genericapiserver.Config, version string) {
	namer := openapinamer.NewDefinitionNamer(apis.VersionedScheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(openapi.GetOpenAPIDefinitions, namer)
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(openapi.GetOpenAPIDefinitions, namer)
	name := openapi.DefinitionName(apis.VersionedScheme)
	config.OpenAPIConfig.GetDefinitionName, config.OpenAPIV3Config.GetDefinitionName = name, name
	config.OpenAPIV3Config.Definitions = openapi.GetOpenAPIDefinitions(func(n string) spec.Ref {
		definition, _ := name(n)
		return spec.MustCreateRef("#/components/schemas/" + openapicommon.EscapeJsonPointer(definition))
	})
	for _, info := range []*spec.Info{config.OpenAPIConfig.Info, config.OpenAPIV3Config.Info} {
		info.Title, info.Version = "gateway-apiserver", version
	}
}
