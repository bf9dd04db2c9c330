package apiserver

import (
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

// withoutWrites says why clients can't write objects of kinds that are read-only. Without it the answer would be the same, but
// for the reason: there is nothing behind it that would write, and discovery doesn't list the verbs.
func withoutWrites(next http.Handler, kinds []*registry.Kind) http.Handler {
	readOnly := map[schema.GroupVersionResource]string{}
	for _, kind := range kinds {
		if !kind.ReadOnly {
			continue
		}
		for _, v := range kind.Versions {
			readOnly[v.GroupVersion().WithResource(v.Resource)] = v.Kind
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		info, ok := genericapirequest.RequestInfoFrom(req.Context())
		if !ok || !info.IsResourceRequest {
			next.ServeHTTP(w, req)
			return
		}
		resource := schema.GroupVersionResource{Group: info.APIGroup, Version: info.APIVersion, Resource: info.Resource}
		kind, ok := readOnly[resource]
		switch info.Verb {
		case "create", "update", "patch", "delete", "deletecollection":
		default:
			ok = false
		}
		if !ok {
			next.ServeHTTP(w, req)
			return
		}
		err := apierrors.NewMethodNotSupported(resource.GroupResource(), info.Verb)
		err.ErrStatus.Message = fmt.Sprintf("%ss can only be read: the server itself says in them what it sees", kind)
		responsewriters.ErrorNegotiated(err, apis.Codecs, resource.GroupVersion(), w, req)
	})
}
