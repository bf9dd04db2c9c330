package definitions

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsopenapi "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

var (
	scheme   = runtime.NewScheme()
	codecs   = serializer.NewCodecFactory(scheme)
	resource = apiextensions.Resource("customresourcedefinitions")
)

func init() {
	install.Install(scheme)
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
}

// Configure prepares the configuration of a server, OpenAPI included, for Install.
func Configure(config *genericapiserver.Config) {
	v2, v3 := config.OpenAPIConfig, config.OpenAPIV3Config
	v2.GetDefinitions, v3.GetDefinitions = withDefinitions(v2.GetDefinitions), withDefinitions(v3.GetDefinitions)
	v2.GetDefinitionName, v3.GetDefinitionName = withKinds(v2.GetDefinitionName), withKinds(v3.GetDefinitionName)
	maps.Copy(v3.Definitions, modelsOf(func(name string) spec.Ref {
		return spec.MustCreateRef("#/components/schemas/" + common.EscapeJsonPointer(name))
	}))
	build := config.BuildHandlerChainFunc
	config.BuildHandlerChainFunc = func(api http.Handler, config *genericapiserver.Config) http.Handler {
		return build(refuseWrites(api), config)
	}
}

// Install serves the definitions of a channel, and says that they were made at a time that should be the same after
// each start. The server's configuration must have been given to Configure.
func Install(server *genericapiserver.GenericAPIServer, channel crd.Channel, created time.Time) error {
	info := genericapiserver.NewDefaultAPIGroupInfo(apiextensions.GroupName, scheme, metav1.ParameterCodec, codecs)
	info.PrioritizedVersions = []schema.GroupVersion{apiextensionsv1.SchemeGroupVersion}
	info.VersionedResourcesStorageMap[apiextensionsv1.SchemeGroupVersion.Version] = map[string]rest.Storage{
		resource.Resource: newDefinitions(channel, created, time.Now()),
	}
	if err := server.InstallAPIGroup(&info); err != nil {
		return fmt.Errorf("serving CustomResourceDefinitions: %w", err)
	}
	return nil
}

// refuseWrites says why nothing can be written, where a server without handlers for that would only say so. Discovery
// doesn't list the verbs.
func refuseWrites(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		if !ok || !info.IsResourceRequest || info.APIGroup != resource.Group || slices.Contains([]string{"get", "list", "watch"}, info.Verb) {
			api.ServeHTTP(w, r)
			return
		}
		err := apierrors.NewMethodNotSupported(resource, info.Verb)
		err.ErrStatus.Message = "CustomResourceDefinitions can't be written: this server has the kinds of the Gateway API and its own built in, and no others"
		responsewriters.ErrorNegotiated(err, codecs, apiextensionsv1.SchemeGroupVersion, w, r)
	})
}

// modelsOf returns the OpenAPI models of CustomResourceDefinitions, without those that all API groups have in common.
func modelsOf(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	models := apiextensionsopenapi.GetOpenAPIDefinitions(ref)
	maps.DeleteFunc(models, func(name string, _ common.OpenAPIDefinition) bool { return !isModel(name) })
	return models
}

// isModel says whether a model is of the group version that is served, by its name.
func isModel(name string) bool {
	group, _, _ := strings.Cut(apiextensionsv1.CustomResourceDefinition{}.OpenAPIModelName(), ".CustomResourceDefinition")
	return strings.HasPrefix(name, group+".")
}

func withDefinitions(others common.GetOpenAPIDefinitions) common.GetOpenAPIDefinitions {
	return func(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
		models := maps.Clone(others(ref))
		maps.Copy(models, modelsOf(ref))
		return models
	}
}

// withKinds adds the group, version and kind to the models that have one, by which clients find them.
func withKinds(others func(string) (string, spec.Extensions)) func(string) (string, spec.Extensions) {
	versioned := runtime.NewScheme() // without types as __internal
	utilruntime.Must(apiextensionsv1.AddToScheme(versioned))
	names := openapinamer.NewDefinitionNamer(versioned)
	return func(name string) (string, spec.Extensions) {
		if isModel(name) {
			return names.GetDefinitionName(name)
		}
		return others(name)
	}
}
