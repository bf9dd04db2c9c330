package apiserver

import (
	"net/http"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

// deprecatedAnnotation is set to "true" in the audit events of requests for deprecated versions, as kube-apiserver does.
const deprecatedAnnotation = "k8s.io/deprecated"

// versions are the served versions of all kinds, by the resource that is in URLs.
type versions map[schema.GroupVersionResource]*registry.Version

func newVersions(kinds []*registry.Kind) versions {
	served := versions{}
	for _, kind := range kinds {
		for _, v := range kind.Versions {
			served[v.GroupVersion().WithResource(v.Resource)] = v
		}
	}
	return served
}

// of returns the version that a request is about, and nil for one that is about no object.
func (vs versions) of(info *genericapirequest.RequestInfo) *registry.Version {
	if info == nil || !info.IsResourceRequest {
		return nil
	}
	return vs[schema.GroupVersionResource{Group: info.APIGroup, Version: info.APIVersion, Resource: info.Resource}]
}

// withDeprecation warns whoever uses a deprecated version of a kind, and makes it visible in metrics and in audit events
// who still does. It stands behind authorization: what is denied is no use.
func withDeprecation(next http.Handler, served versions) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		ctx := req.Context()
		info, _ := genericapirequest.RequestInfoFrom(ctx)
		if v := served.of(info); v != nil && v.Deprecated != "" && !isInventory(req, info) && registry.IdentityFrom(ctx) == nil {
			warning.AddWarning(ctx, "", v.Deprecated)
			audit.AddAuditAnnotation(ctx, deprecatedAnnotation, "true")
			deprecatedRequests.WithContext(ctx).WithLabelValues(v.Group, v.Version, v.Kind, info.Verb).Inc()
		}
		next.ServeHTTP(w, req)
	})
}

// isInventory says whether a request is the server's own look at all there is, for --manifests. What it applies for
// somebody in a deprecated version counts.
func isInventory(req *http.Request, info *genericapirequest.RequestInfo) bool {
	who, ok := genericapirequest.UserFrom(req.Context())
	return ok && who.GetName() == user.APIServerUser && info.Verb == "list"
}
