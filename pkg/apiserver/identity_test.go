package apiserver

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

// onlyVerb allows one verb on everything.
type onlyVerb string

func (v onlyVerb) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetVerb() == string(v) && a.GetResource() == "gateways" && a.GetNamespace() == "n" {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "not that", nil
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	const (
		collection = "/apis/gateway.networking.k8s.io/v1beta1/namespaces/n/gateways"
		object     = collection + "/a"
		whole      = `{"kind":"Gateway","metadata":{"name":"a","uid":"u","creationTimestamp":"2024-01-01T00:00:00Z","generation":3,` +
			`"managedFields":[{"manager":"m","operation":"Update","apiVersion":"gateway.networking.k8s.io/v1","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{}}}]}}`
	)
	tests := []struct {
		name, method, path, header, body string
		auth                             authorizer.UnconditionalAuthorizer
		code                             int
		answer                           string
		want                             *registry.Identity
	}{
		{name: "create", method: http.MethodPost, path: collection, header: "true", body: whole, want: &registry.Identity{UID: "u", Generation: 3}},
		{name: "update", method: http.MethodPut, path: object, header: "true", body: whole, want: &registry.Identity{UID: "u", Generation: 3}},
		{name: "not asked for", method: http.MethodPost, path: collection, body: whole},
		{name: "no permission", method: http.MethodPost, path: collection, header: "true", body: whole, auth: onlyVerb("create"), code: 403, answer: "takeover"},
		{name: "permission elsewhere", method: http.MethodPost, path: strings.ReplaceAll(collection, "/n/", "/other/"), header: "true", body: whole, code: 403, answer: "takeover"},
		{name: "another resource", method: http.MethodPost, path: strings.ReplaceAll(collection, "gateways", "httproutes"), header: "true", body: whole, code: 400, answer: "none of the resources"},
		{name: "another value", method: http.MethodPost, path: collection, header: "yes", body: whole, code: 400, answer: "true"},
		{name: "another spelling", method: http.MethodPost, path: collection, header: "1", body: whole, code: 400, answer: "true"},
		{name: "false", method: http.MethodPost, path: collection, header: "false", body: whole, code: 400, answer: "true"},
		{name: "patch", method: http.MethodPatch, path: object, header: "true", body: `{}`, code: 400, answer: "only a create and an update"},
		{name: "delete", method: http.MethodDelete, path: object, header: "true", code: 400, answer: "only a create and an update"},
		{name: "list", method: http.MethodGet, path: collection, header: "true", code: 400, answer: "only a create and an update"},
		{name: "status", method: http.MethodPut, path: object + "/status", header: "true", body: whole, code: 400, answer: "not of a subresource"},
		{name: "discovery", method: http.MethodGet, path: "/apis", header: "true", code: 400, answer: "none of the resources"},
		{name: "no identity", method: http.MethodPost, path: collection, header: "true", body: `{"metadata":{"name":"a"}}`, code: 422, answer: "metadata.uid"},
		{
			name: "gone already", method: http.MethodPost, path: collection, header: "true", code: 422, answer: "metadata.deletionTimestamp",
			body: strings.Replace(whole, `"generation"`, `"deletionTimestamp":"2024-01-01T00:00:00Z","generation"`, 1),
		},
		{
			name: "no managers", method: http.MethodPost, path: collection, header: "true", code: 422, answer: "metadata.managedFields",
			body: strings.Replace(whole, `{"f:spec":{}}`, `{"spec":{}}`, 1),
		},
		{name: "no object", method: http.MethodPost, path: collection, header: "true", body: `[`, code: 400, answer: "reading the metadata"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			auth := tt.auth
			if auth == nil {
				auth = onlyVerb(TakeoverVerb)
			}
			var got *registry.Identity
			filter := func(next http.Handler) http.Handler {
				return withIdentity(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					got = registry.IdentityFrom(req.Context())
					next.ServeHTTP(w, req)
				}), testVersions(), auth, 1<<20)
			}
			req := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
			if tt.header != "" {
				req.Header.Set(KeepIdentityHeader, tt.header)
			}
			received := send(t, filter, req)
			if refused := tt.code != 0; refused == received.called || refused && received.response.StatusCode != tt.code || !strings.Contains(received.answer, tt.answer) {
				t.Fatalf("handled %v, answered %s: %s", received.called, received.response.Status, received.answer)
			}
			if received.called && received.body != tt.body {
				t.Errorf("the handler reads %q", received.body)
			}
			if (got == nil) != (tt.want == nil) || got != nil && (got.UID != tt.want.UID || got.Generation != tt.want.Generation || len(got.ManagedFields) != 1 || got.CreationTimestamp.Year() != 2024) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			audited := ""
			if tt.want != nil {
				audited = "true"
			}
			if got := received.audited(movedAnnotation); got != audited {
				t.Errorf("got audit annotation %q, want %q", got, audited)
			}
		})
	}
}

// counting counts what it admits.
type counting struct {
	*admission.Handler
	calls int
}

func (c *counting) Admit(context.Context, admission.Attributes, admission.ObjectInterfaces) error {
	c.calls++
	return nil
}

func (c *counting) Validate(context.Context, admission.Attributes, admission.ObjectInterfaces) error {
	c.calls++
	return nil
}

func TestAdmitMoved(t *testing.T) {
	t.Parallel()
	plugin := &counting{Handler: admission.NewHandler(admission.Create)}
	admit := admitMoved{plugin}
	for _, ctx := range []context.Context{t.Context(), registry.WithIdentity(t.Context(), &registry.Identity{CreationTimestamp: metav1.Now()})} {
		if err := admit.Admit(ctx, nil, nil); err != nil {
			t.Error(err)
		}
		if err := admit.Validate(ctx, nil, nil); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff(2, plugin.calls); diff != "" {
		t.Errorf("admission was asked for other objects than those that don't move (-want +got):\n%s", diff)
	}
	if admit.Handles(admission.Delete) || !admit.Handles(admission.Create) {
		t.Error("admission handles other operations than its plugins")
	}
}
