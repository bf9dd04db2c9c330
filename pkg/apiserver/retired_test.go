package apiserver

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cbor "k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"
	"k8s.io/component-base/metrics/testutil"
	"sigs.k8s.io/yaml"
)

const (
	oldGateway = `{"kind":"Gateway","metadata":{"name":"y","generation":9007199254740993},"spec":{"backendTLS":{"clientCertificateRef":{"name":"cert"}}}}`
	newGateway = `{"kind":"Gateway","metadata":{"generation":9007199254740993,"name":"y"},"spec":{"tls":{"backend":{"clientCertificateRef":{"name":"cert"}}}}}`

	backendTLSWarning = "spec.backendTLS was retired in Gateway API v1.4; it is stored as spec.tls.backend"
	listenerWarning   = "spec.listeners[0].tls.frontendValidation was retired in Gateway API v1.4; it is stored as spec.tls.frontend.perPort[port=443].tls.validation"
	// listeners is a part of a patch that is rewritten when it has been applied.
	listeners = `"listeners":[{"port":443,"protocol":"HTTPS","tls":{"frontendValidation":{"caCertificateRefs":[{"name":"ca"}]}}}]`
)

func sendWrite(t *testing.T, served versions, limit int64, method, path, contentType, body string) *received {
	t.Helper()
	req := httptest.NewRequest(method, "/apis/gateway.networking.k8s.io/"+path, strings.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	return send(t, func(next http.Handler) http.Handler { return withRetiredFields(next, served, limit) }, req)
}

func TestRetiredFields(t *testing.T) {
	t.Parallel()
	served := testVersions()
	const named, unnamed = "v1/namespaces/x/gateways/y", "v1/namespaces/x/gateways"
	tests := []struct {
		name                            string
		method, path, contentType, body string
		want                            string // empty: what was sent
		contentTypeThen                 string // empty: as before
		warnings                        []string
		audited                         string
	}{
		{
			name:   "create",
			method: http.MethodPost, path: unnamed, contentType: "application/json", body: oldGateway,
			want: newGateway, warnings: []string{backendTLSWarning}, audited: "spec.backendTLS",
		},
		{
			name:   "create without a content type",
			method: http.MethodPost, path: unnamed, body: oldGateway,
			want: newGateway, warnings: []string{backendTLSWarning}, audited: "spec.backendTLS",
		},
		{
			name:   "update in another version, with a parameter in the content type",
			method: http.MethodPut, path: "v1alpha2/namespaces/x/gateways/y", contentType: "application/json; charset=utf-8", body: oldGateway,
			want: newGateway, warnings: []string{backendTLSWarning}, audited: "spec.backendTLS",
		},
		{
			name:   "update of the status",
			method: http.MethodPut, path: "v1/gatewayclasses/y/status", contentType: "application/json",
			body:     `{"status":{"supportedFeatures":["Gateway"]}}`,
			want:     `{"status":{"supportedFeatures":[{"name":"Gateway"}]}}`,
			warnings: []string{"status.supportedFeatures[0] was retired in Gateway API v1.2; it is stored as status.supportedFeatures[0].name"},
			audited:  "status.supportedFeatures[]",
		},
		{
			name:   "a name behind an escape",
			method: http.MethodPut, path: named, contentType: "application/json",
			body:     `{"spec":{"\u0062ackendTLS":{}}}`,
			want:     `{"spec":{"tls":{"backend":{}}}}`,
			warnings: []string{backendTLSWarning}, audited: "spec.backendTLS",
		},
		{
			name:   "YAML",
			method: http.MethodPost, path: unnamed, contentType: "application/yaml",
			body:     "spec:\n  backendTLS: {clientCertificateRef: {name: \"yes\"}}\n",
			want:     "spec:\n  tls:\n    backend:\n      clientCertificateRef:\n        name: \"yes\"\n",
			warnings: []string{backendTLSWarning}, audited: "spec.backendTLS",
		},
		{
			name:   "YAML in UTF-16",
			method: http.MethodPost, path: unnamed, contentType: "application/yaml",
			body:     "\xff\xfe" + strings.Join(strings.Split("spec: {backendTLS: {}}", ""), "\x00") + "\x00",
			want:     "spec:\n  tls:\n    backend: {}\n",
			warnings: []string{backendTLSWarning}, audited: "spec.backendTLS",
		},
		{
			name:   "server-side apply",
			method: http.MethodPatch, path: named, contentType: "application/apply-patch+yaml",
			body:     oldGateway,
			want:     yamlOf(t, newGateway),
			warnings: []string{backendTLSWarning}, audited: "spec.backendTLS",
		},
		{
			name:   "merge patch",
			method: http.MethodPatch, path: named, contentType: "application/merge-patch+json",
			body:     `{"spec":{"backendTLS":{"clientCertificateRef":{"name":"cert"}}}}`,
			want:     `{"spec":{"tls":{"backend":{"clientCertificateRef":{"name":"cert"}}}}}`,
			warnings: []string{backendTLSWarning}, audited: "spec.backendTLS",
		},
		{
			name:   "merge patch that takes a field back",
			method: http.MethodPatch, path: named, contentType: "application/merge-patch+json",
			body: `{"spec":{"backendTLS":null}}`,
			want: `{"spec":{"tls":{"backend":null}}}`,
		},
		{
			name:   "strategic merge patch",
			method: http.MethodPatch, path: named, contentType: "application/strategic-merge-patch+json",
			body:     `{"metadata":{"finalizers":["a"]},"spec":{"backendTLS":{"$patch":"delete"}}}`,
			want:     `{"metadata":{"finalizers":["a"]},"spec":{"tls":{"backend":{"$patch":"delete"}}}}`,
			warnings: []string{backendTLSWarning}, audited: "spec.backendTLS",
		},
		{
			name:   "merge patch of listeners",
			method: http.MethodPatch, path: named, contentType: "application/merge-patch+json",
			body:     `{"spec":{ ` + listeners + `}}`,
			warnings: []string{listenerWarning}, audited: "spec.listeners[].tls.frontendValidation",
		},
		{
			name:   "strategic merge patch of listeners",
			method: http.MethodPatch, path: named, contentType: "application/strategic-merge-patch+json",
			body:     `{"spec":{"backendTLS":{},` + listeners + `}}`,
			want:     `{"spec":{` + listeners + `,"tls":{"backend":{}}}}`,
			warnings: []string{backendTLSWarning, listenerWarning}, audited: "spec.backendTLS,spec.listeners[].tls.frontendValidation",
			contentTypeThen: "application/merge-patch+json",
		},
		{
			name:   "nothing retired stays byte for byte",
			method: http.MethodPost, path: unnamed, contentType: "application/json",
			body: `{"spec" : {"tls": {"backend": {}}}, "metadata": {"annotations": {"a": "backendTLS \u0021"}}}`,
		},
		{
			name:   "kind without retired fields",
			method: http.MethodPost, path: "v1/namespaces/x/secrets", contentType: "application/json", body: oldGateway,
		},
		{
			name:   "version that is not served",
			method: http.MethodPost, path: "v2/namespaces/x/gateways", contentType: "application/json", body: oldGateway,
		},
		{
			name:   "no object",
			method: http.MethodPost, path: unnamed, contentType: "application/json", body: `["backendTLS"]`,
		},
		{
			name:   "null",
			method: http.MethodPost, path: unnamed, contentType: "application/yaml", body: `# backendTLS`,
		},
		{
			name:   "broken JSON",
			method: http.MethodPost, path: unnamed, contentType: "application/json", body: `{"backendTLS":`,
		},
		{
			name:   "broken JSON patch",
			method: http.MethodPatch, path: named, contentType: "application/json-patch+json", body: `{"backendTLS":1}`,
		},
		{
			name:   "a content type that is not served",
			method: http.MethodPost, path: unnamed, contentType: "application/vnd.kubernetes.protobuf", body: oldGateway,
		},
		{
			name:   "a patch type that is not served",
			method: http.MethodPatch, path: named, contentType: "application/json", body: oldGateway,
		},
		{
			name:   "JSON patch of other fields",
			method: http.MethodPatch, path: named, contentType: "application/json-patch+json",
			body: `[{"op":"add","path":"/metadata/labels/backendTLS","value":"x"}]`,
		},
		{
			name:   "delete",
			method: http.MethodDelete, path: named, contentType: "application/json", body: oldGateway,
		},
		{
			name:   "discovery",
			method: http.MethodPost, path: "v1", contentType: "application/json", body: oldGateway,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := sendWrite(t, served, 1<<20, tt.method, tt.path, tt.contentType, tt.body)
			want, contentType := tt.want, tt.contentTypeThen
			if want == "" {
				want = tt.body
			}
			if contentType == "" {
				contentType = tt.contentType
			}
			if !got.called {
				t.Fatalf("the handler was not called: %s", got.answer)
			}
			if got.body != want {
				t.Errorf("got body\n%s\nwant\n%s", got.body, want)
			}
			if got.length != int64(len(want)) {
				t.Errorf("got content length %d, want %d", got.length, len(want))
			}
			if got := got.header.Get("Content-Type"); got != contentType {
				t.Errorf("got content type %q, want %q", got, contentType)
			}
			if diff := cmp.Diff(tt.warnings, got.warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if got := got.audited(retiredAnnotation); got != tt.audited {
				t.Errorf("got audit annotation %q, want %q", got, tt.audited)
			}
		})
	}
}

func yamlOf(t *testing.T, document string) string {
	t.Helper()
	text, err := yaml.JSONToYAML([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRetiredFieldsInCBOR(t *testing.T) {
	t.Parallel()
	doc := map[string]any{"spec": map[string]any{"backendTLS": map[string]any{"port": int64(443)}}}
	body, err := cbor.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	for method, contentType := range map[string]string{http.MethodPost: "application/cbor", http.MethodPatch: "application/apply-patch+cbor"} {
		got := sendWrite(t, testVersions(), 1<<20, method, "v1/namespaces/x/gateways/y", contentType, string(body))
		var rewritten map[string]any
		if err := cbor.Unmarshal([]byte(got.body), &rewritten); err != nil {
			t.Fatalf("%s: %v", contentType, err)
		}
		want := map[string]any{"spec": map[string]any{"tls": map[string]any{"backend": map[string]any{"port": int64(443)}}}}
		if diff := cmp.Diff(want, rewritten); diff != "" {
			t.Errorf("%s (-want +got):\n%s", contentType, diff)
		}
	}
}

func TestRefusedRetiredFields(t *testing.T) {
	t.Parallel()
	served := testVersions()
	const path = "v1/namespaces/x/gateways/y"
	tests := []struct {
		name                            string
		method, path, contentType, body string
		wantName                        string
		want                            []string // in the messages of the causes
		audited                         string
	}{
		{
			name:   "both fields",
			method: http.MethodPost, path: "v1/namespaces/x/gateways", contentType: "application/json",
			body:     `{"metadata":{"name":"y"},"spec":{"backendTLS":{"clientCertificateRef":{"name":"a"}},"tls":{"backend":{}}}}`,
			wantName: "y", audited: "spec.backendTLS",
			want: []string{"is not what spec.tls.backend says"},
		},
		{
			name:   "JSON patch",
			method: http.MethodPatch, path: path, contentType: "application/json-patch+json",
			body:     `[{"op":"test","path":"/kind","value":"Gateway"},{"op":"add","path":"/spec/backendTLS","value":{}},{"op":"move","from":"/spec/listeners/0/tls/frontendValidation","path":"/spec/x"}]`,
			wantName: "y", audited: "spec.backendTLS,spec.listeners[].tls.frontendValidation",
			want: []string{
				"spec.backendTLS was retired in Gateway API v1.4; here it is spec.tls.backend. A JSON patch is about the object as it is stored",
				"spec.listeners[].tls.frontendValidation was retired in Gateway API v1.4; here it is spec.tls.frontend.perPort[].tls.validation.",
			},
		},
		{
			name:   "strategic merge patch with a directive",
			method: http.MethodPatch, path: path, contentType: "application/strategic-merge-patch+json",
			body:     `{"spec":{"addresses":[{"$patch":"replace"}],` + listeners + `}}`,
			wantName: "y", audited: "spec.listeners[].tls.frontendValidation",
			want: []string{"send it as application/merge-patch+json"},
		},
		{
			name:   "strategic merge patch that merges lists",
			method: http.MethodPatch, path: path, contentType: "application/strategic-merge-patch+json",
			body:     `{"metadata":{"finalizers":["x"]},"spec":{` + listeners + `}}`,
			wantName: "y", audited: "spec.listeners[].tls.frontendValidation",
			want: []string{"send it as application/merge-patch+json"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := sendWrite(t, served, 1<<20, tt.method, tt.path, tt.contentType, tt.body)
			if got.called {
				t.Fatal("the handler was called")
			}
			var status metav1.Status
			if err := json.Unmarshal([]byte(got.answer), &status); err != nil {
				t.Fatalf("%v: %s", err, got.answer)
			}
			if status.Code != http.StatusUnprocessableEntity || status.Reason != metav1.StatusReasonInvalid || got.response.StatusCode != http.StatusUnprocessableEntity {
				t.Errorf("got %d %s", status.Code, status.Reason)
			}
			if details := status.Details; details.Name != tt.wantName || details.Group != "gateway.networking.k8s.io" || details.Kind != "Gateway" || len(details.Causes) != len(tt.want) {
				t.Fatalf("got %+v", details)
			}
			for i, cause := range status.Details.Causes {
				if !strings.Contains(cause.Message, tt.want[i]) {
					t.Errorf("got %q, want %q in it", cause.Message, tt.want[i])
				}
			}
			if len(got.warnings) > 0 {
				t.Errorf("got warnings %q of what is not stored", got.warnings)
			}
			if got := got.audited(retiredAnnotation); got != tt.audited {
				t.Errorf("got audit annotation %q, want %q", got, tt.audited)
			}
		})
	}
}

// Keys that are there twice can't be seen in the new document, so strict field validation of them is the filter's.
func TestDuplicateKeys(t *testing.T) {
	t.Parallel()
	served := testVersions()
	tests := []struct {
		directive, contentType, body string
		called                       bool
		warnings                     []string
		answer                       string
	}{
		{directive: "Ignore", contentType: "application/json", called: true, warnings: []string{backendTLSWarning}},
		{directive: "Warn", contentType: "application/json", called: true, warnings: []string{`duplicate field \"spec.a\"`, backendTLSWarning}},
		{directive: "", contentType: "application/json", called: true, warnings: []string{`duplicate field \"spec.a\"`, backendTLSWarning}},
		{directive: "Strict", contentType: "application/json", warnings: []string{backendTLSWarning}, answer: `strict decoding error: duplicate field \"spec.a\"`},
		{directive: "Strict", contentType: "application/yaml", warnings: []string{backendTLSWarning}, answer: `key \"a\" already set in map`},
	}
	for _, tt := range tests {
		t.Run(tt.directive+tt.contentType, func(t *testing.T) {
			t.Parallel()
			got := sendWrite(t, served, 1<<20, http.MethodPost, "v1/namespaces/x/gateways?fieldValidation="+tt.directive, tt.contentType, `{"spec":{"a":1,"a":2,"backendTLS":{}}}`)
			if got.called != tt.called || !strings.Contains(got.answer, tt.answer) {
				t.Errorf("got called %t, answer %s", got.called, got.answer)
			}
			if diff := cmp.Diff(tt.warnings, got.warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	served := testVersions()
	size := int64(len(oldGateway))
	for limit, want := range map[int64]string{0: newGateway, size: newGateway, size - 1: oldGateway, 1: oldGateway} {
		got := sendWrite(t, served, limit, http.MethodPost, "v1/namespaces/x/gateways", "application/json", oldGateway)
		if got.body != want {
			t.Errorf("limit %d: got body %s, want %s", limit, got.body, want)
		}
	}
}

func TestUnreadableBody(t *testing.T) {
	t.Parallel()
	broken := io.MultiReader(strings.NewReader(oldGateway), brokenReader{})
	req := httptest.NewRequest(http.MethodPost, "/apis/gateway.networking.k8s.io/v1/namespaces/x/gateways", broken)
	req.Header.Set("Content-Type", "application/json")
	data, again, ok := readBody(req, 1<<20)
	if ok {
		t.Errorf("read %q", data)
	}
	body, err := io.ReadAll(again.Body)
	if string(body) != oldGateway || err == nil {
		t.Errorf("the handler reads %q and gets error %v", body, err)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, fmt.Errorf("connection reset") }

func TestRetiredFieldMetric(t *testing.T) {
	t.Parallel()
	served := testVersions()
	for _, v := range served {
		v.Version += "-counted" // nobody else counts these
	}
	sendWrite(t, served, 1<<20, http.MethodPost, "v1/namespaces/x/gateways", "application/json", oldGateway)
	sendWrite(t, served, 1<<20, http.MethodPost, "v1beta1/namespaces/x/gateways?dryRun=All", "application/json", oldGateway)
	sendWrite(t, served, 1<<20, http.MethodPut, "v1beta1/namespaces/x/gateways/y", "application/json", `{"spec":{"backendTLS":{"a":1},"tls":{"backend":{}}}}`)
	sendWrite(t, served, 1<<20, http.MethodPut, "v1beta1/namespaces/x/gateways/y", "application/json", `{"spec":{}}`)
	for version, want := range map[string]float64{"v1": 1, "v1beta1": 2, "v1alpha2": 0} {
		counter := retiredFieldWrites.WithLabelValues("gateway.networking.k8s.io", version+"-counted", "Gateway", "spec.backendTLS")
		if got, err := testutil.GetCounterMetricValue(counter); err != nil || got != want {
			t.Errorf("%s: counted %v (%v), want %v", version, got, err, want)
		}
	}
}
