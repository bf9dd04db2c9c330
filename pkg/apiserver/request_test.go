package apiserver

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/endpoints/filters"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

// testVersions are served versions with what the filters look at.
func testVersions() versions {
	version := func(group, version, kind, resource, deprecated string) *registry.Version {
		return &registry.Version{
			GroupVersionKind: schema.GroupVersionKind{Group: group, Version: version, Kind: kind},
			Resource:         resource,
			Deprecated:       deprecated,
		}
	}
	return newVersions([]*registry.Kind{
		{Versions: []*registry.Version{
			version("gateway.networking.k8s.io", "v1", "Gateway", "gateways", ""),
			version("gateway.networking.k8s.io", "v1beta1", "Gateway", "gateways", ""),
			version("gateway.networking.k8s.io", "v1alpha2", "Gateway", "gateways", "use v1"),
		}},
		{Versions: []*registry.Version{version("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes", "")}},
		{Versions: []*registry.Version{version("gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses", "")}},
		{Versions: []*registry.Version{version("", "v1", "Secret", "secrets", "")}},
	})
}

// received is what a handler behind a filter has got, and what has come back through the filter.
type received struct {
	called   bool
	body     string
	header   http.Header
	length   int64
	response *http.Response
	answer   string
	warnings []string
	audited  func(key string) string
}

// send sends a request through a filter to a handler that reads it.
func send(t *testing.T, filter func(http.Handler) http.Handler, req *http.Request) *received {
	t.Helper()
	registerMetrics()
	got := &received{}
	handler := filter(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		got.called, got.header, got.length = true, req.Header, req.ContentLength
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Errorf("the handler can't read the body: %v", err)
		}
		got.body = string(body)
	}))
	handler = filters.WithWarningRecorder(handler)
	handler = filters.WithRequestInfo(handler, &genericapirequest.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")})
	ctx := audit.WithAuditContext(req.Context())
	got.audited = func(key string) string {
		value, _ := audit.AuditContextFrom(ctx).GetEventAnnotation(key)
		return value
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, req.WithContext(ctx))
	got.response = recorder.Result()
	got.answer = recorder.Body.String()
	for _, header := range got.response.Header.Values("Warning") {
		text := strings.TrimPrefix(header, `299 - "`)
		got.warnings = append(got.warnings, strings.TrimSuffix(text, `"`))
	}
	slices.Sort(got.warnings)
	return got
}
