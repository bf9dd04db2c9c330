package apiserver

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	genericapiserver "k8s.io/apiserver/pkg/server"
	openapicommon "k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/spec3"
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
	config.OpenAPIConfig.PostProcessSpec = mergeAsCRDs
	config.OpenAPIV3Config.PostProcessSpec = mergeAsCRDsV3
	for _, info := range []*spec.Info{config.OpenAPIConfig.Info, config.OpenAPIV3Config.Info} {
		info.Title, info.Version = "gateway-apiserver", version
	}
}

// strategicMergePatch is the patch type that knows which lists to merge, and by which key. No list of the Gateway API or of
// our own kinds says so, and for CustomResourceDefinitions it doesn't exist. It is understood here, but not published: kubectl would prefer
// it, and stumble over retired fields, for which it looks in the specification.
const strategicMergePatch = string(types.StrategicMergePatchType)

// isDefined says whether a path of the API belongs to one of definedGroups.
func isDefined(path string) bool {
	parts := strings.Split(path, "/") // "", "apis", group, version and so on
	return len(parts) > 3 && parts[1] == "apis" && definedGroups.Has(parts[2])
}

// mergeAsCRDs makes kubectl patch the kinds of definedGroups as it patches custom resources, with JSON merge patches.
func mergeAsCRDs(s *spec.Swagger) (*spec.Swagger, error) {
	for path, item := range s.Paths.Paths {
		// CustomResourceDefinitions have no paths for discovery. Where there are some of the same versions, kube-apiserver merges
		// both documents: by the prefixes of paths that only one has, so that this one would bring all of them in twice.
		if isDefined(path) && strings.HasSuffix(path, "/") {
			delete(s.Paths.Paths, path)
			continue
		}
		if item.Patch != nil && isDefined(path) {
			item.Patch.Consumes = slices.DeleteFunc(slices.Clone(item.Patch.Consumes), func(mediaType string) bool {
				return mediaType == strategicMergePatch
			})
		}
	}
	return s, nil
}

// mergeAsCRDsV3 is mergeAsCRDs for OpenAPI v3.
func mergeAsCRDsV3(s *spec3.OpenAPI) (*spec3.OpenAPI, error) {
	for path, item := range s.Paths.Paths {
		if item.Patch != nil && item.Patch.RequestBody != nil && isDefined(path) {
			delete(item.Patch.RequestBody.Content, strategicMergePatch)
		}
	}
	return s, nil
}
