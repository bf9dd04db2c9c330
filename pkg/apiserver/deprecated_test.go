package apiserver

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/component-base/metrics/testutil"
)

func TestDeprecation(t *testing.T) {
	t.Parallel()
	served := testVersions()
	filter := func(next http.Handler) http.Handler { return withDeprecation(next, served) }
	tests := []struct {
		name, method, path string
		want               []string
	}{
		{"get", http.MethodGet, "/apis/gateway.networking.k8s.io/v1alpha2/namespaces/x/gateways/y", []string{"use v1"}},
		{"list", http.MethodGet, "/apis/gateway.networking.k8s.io/v1alpha2/gateways", []string{"use v1"}},
		{"watch", http.MethodGet, "/apis/gateway.networking.k8s.io/v1alpha2/gateways?watch=1", []string{"use v1"}},
		{"delete", http.MethodDelete, "/apis/gateway.networking.k8s.io/v1alpha2/namespaces/x/gateways/y", []string{"use v1"}},
		{"status", http.MethodPut, "/apis/gateway.networking.k8s.io/v1alpha2/namespaces/x/gateways/y/status", []string{"use v1"}},
		{"current version", http.MethodGet, "/apis/gateway.networking.k8s.io/v1/gateways", nil},
		{"other resource", http.MethodGet, "/apis/gateway.networking.k8s.io/v1alpha2/httproutes", nil},
		{"discovery", http.MethodGet, "/apis/gateway.networking.k8s.io/v1alpha2", nil},
		{"no API", http.MethodGet, "/healthz", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := send(t, filter, httptest.NewRequest(tt.method, tt.path, nil))
			if !got.called {
				t.Error("the handler was not called")
			}
			if diff := cmp.Diff(tt.want, got.warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			audited := ""
			if len(tt.want) > 0 {
				audited = "true"
			}
			if got := got.audited("k8s.io/deprecated"); got != audited {
				t.Errorf("got audit annotation %q, want %q", got, audited)
			}
		})
	}
}

func TestDeprecationMetric(t *testing.T) {
	t.Parallel()
	served := testVersions()
	for _, v := range served {
		v.Version += "-counted" // nobody else counts these
	}
	filter := func(next http.Handler) http.Handler { return withDeprecation(next, served) }
	for _, path := range []string{"gateways", "gateways", "gateways?watch=1", "namespaces/x/gateways/y", ""} {
		send(t, filter, httptest.NewRequest(http.MethodGet, "/apis/gateway.networking.k8s.io/v1alpha2/"+path, nil))
	}
	inventory := httptest.NewRequest(http.MethodGet, "/apis/gateway.networking.k8s.io/v1alpha2/gateways", nil)
	server := genericapirequest.WithUser(inventory.Context(), &user.DefaultInfo{Name: user.APIServerUser})
	send(t, filter, inventory.WithContext(server))
	for verb, want := range map[string]float64{"list": 2, "watch": 1, "get": 1} {
		counter := deprecatedRequests.WithLabelValues("gateway.networking.k8s.io", "v1alpha2-counted", "Gateway", verb)
		if got, err := testutil.GetCounterMetricValue(counter); err != nil || got != want {
			t.Errorf("%s: counted %v (%v), want %v", verb, got, err, want)
		}
	}
}
