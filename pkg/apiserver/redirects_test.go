package apiserver

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/kube-openapi/pkg/handler3"
	"k8s.io/kube-openapi/pkg/spec3"
)

// mux is a path handler as kube-openapi wants one.
type mux struct{ *http.ServeMux }

func (m mux) HandlePrefix(path string, handler http.Handler) { m.Handle(path, handler) }

func TestNoRedirects(t *testing.T) {
	t.Parallel()
	service := handler3.NewOpenAPIService()
	service.UpdateGroupVersion("apis/gateway.networking.k8s.io/v1", &spec3.OpenAPI{Version: "3.0.0"})
	documents := mux{http.NewServeMux()}
	if err := service.RegisterOpenAPIV3VersionedService("/openapi/v3", documents); err != nil {
		t.Fatal(err)
	}
	get := func(handler http.Handler, query, etag string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(http.MethodGet, "/openapi/v3/apis/gateway.networking.k8s.io/v1"+query, nil)
		if etag != "" {
			req.Header.Set("If-None-Match", etag)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		return w
	}
	if got := get(documents, "?hash=OLD", ""); got.Code != http.StatusMovedPermanently {
		t.Fatalf("kube-openapi answers %d to an old hash: the filter is not needed any more", got.Code)
	}

	handler := withoutRedirects(documents)
	current := get(handler, "", "")
	etag := current.Header().Get("Etag")
	hash := etag[1 : len(etag)-1]
	for _, tt := range []struct {
		name, query, etag string
		code              int
		forever           bool
	}{
		{"no hash", "", "", http.StatusOK, false},
		{"current hash", "?hash=" + hash, "", http.StatusOK, true},
		{"old hash", "?hash=OLD", "", http.StatusOK, false},
		{"old hash of what the client has", "?hash=OLD", etag, http.StatusNotModified, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := get(handler, tt.query, tt.etag)
			if got.Code != tt.code {
				t.Errorf("got status %d, want %d", got.Code, tt.code)
			}
			if location := got.Header().Get("Location"); location != "" {
				t.Errorf("sends clients to %s", location)
			}
			if forever := got.Header().Get("Cache-Control") != ""; forever != tt.forever {
				t.Errorf("may be cached for ever: %t, want %t", forever, tt.forever)
			}
			if tt.code == http.StatusOK && got.Body.String() != current.Body.String() {
				t.Errorf("got\n%s\nwant\n%s", got.Body, current.Body)
			}
		})
	}
}
