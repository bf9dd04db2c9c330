package identity

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// jwt returns a token with some claims, signed by nobody: whether it is good is asked elsewhere.
func jwt(claims string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

// withHeaders returns the context of an encrypted stream whose metadata has some values of "authorization".
func withHeaders(ctx context.Context, values ...string) context.Context {
	md := metadata.MD{}
	md.Append("authorization", values...)
	return peer.NewContext(metadata.NewIncomingContext(ctx, md), &peer.Peer{AuthInfo: credentials.TLSInfo{}})
}

func TestTokens(t *testing.T) {
	t.Parallel()
	soon := time.Now().Add(time.Hour).Truncate(time.Second)
	current := jwt(fmt.Sprintf(`{"exp":%d}`, soon.Unix()))
	// What a kube-apiserver answers to each token.
	answers := map[string]struct {
		audiences authenticator.Audiences
		ok        bool
		err       error
	}{
		current:                       {authenticator.Audiences{Audience}, true, nil},
		"opaque":                      {authenticator.Audiences{"other", Audience}, true, nil},
		jwt(`{"exp":1}`):              {authenticator.Audiences{Audience}, true, nil},
		jwt(`{"exp":"never"}`):        {authenticator.Audiences{Audience}, true, nil},
		"for-kube-apiserver":          {authenticator.Audiences{"https://kubernetes.default.svc"}, true, nil},
		"of-no-audience":              {nil, true, nil},
		"wrong":                       {nil, false, nil},
		"nobody-answers":              {nil, false, errors.New("connection refused")},
		"an-answer-without-a-verdict": {authenticator.Audiences{Audience}, false, nil},
	}
	reviews := map[string]int{}
	tokens := NewTokens(authenticator.TokenFunc(func(ctx context.Context, token string) (*authenticator.Response, bool, error) {
		if asked, _ := authenticator.AudiencesFrom(ctx); len(asked) != 1 || asked[0] != Audience {
			t.Errorf("asked about the audiences %q", asked)
		}
		reviews[token]++
		a, known := answers[token]
		if !known {
			t.Errorf("asked about the token %q", token)
		}
		return &authenticator.Response{Audiences: a.audiences, User: &user.DefaultInfo{Name: "system:serviceaccount:shop:envoy"}}, a.ok, a.err
	}), nil)
	plaintext := peer.NewContext(withHeaders(t.Context(), "Bearer "+current), &peer.Peer{})
	for _, tc := range []struct {
		name    string
		ctx     context.Context
		code    codes.Code
		what    string // in the error
		expires time.Time
	}{
		{"current", withHeaders(t.Context(), "Bearer "+current), codes.OK, "", soon},
		{"scheme in other letters", withHeaders(t.Context(), "bearer  "+current+" "), codes.OK, "", soon},
		{"no expiry known", withHeaders(t.Context(), "Bearer opaque"), codes.OK, "", time.Time{}},
		{"no expiry understood", withHeaders(t.Context(), "Bearer "+jwt(`{"exp":"never"}`)), codes.OK, "", time.Time{}},
		{"expired, but still cached", withHeaders(t.Context(), "Bearer "+jwt(`{"exp":1}`)), codes.Unauthenticated, "send a new one", time.Time{}},
		{"for kube-apiserver", withHeaders(t.Context(), "Bearer for-kube-apiserver"), codes.Unauthenticated, "audience " + Audience, time.Time{}},
		{"audiences not looked at", withHeaders(t.Context(), "Bearer of-no-audience"), codes.Unauthenticated, "audience " + Audience, time.Time{}},
		{"wrong", withHeaders(t.Context(), "Bearer wrong"), codes.Unauthenticated, "refused", time.Time{}},
		{"no verdict", withHeaders(t.Context(), "Bearer an-answer-without-a-verdict"), codes.Unauthenticated, "refused", time.Time{}},
		{"nobody answers", withHeaders(t.Context(), "Bearer nobody-answers"), codes.Unavailable, "connection refused", time.Time{}},
		{"another scheme", withHeaders(t.Context(), "Basic "+current), codes.Unauthenticated, "Bearer", time.Time{}},
		{"no token", withHeaders(t.Context(), "Bearer "), codes.Unauthenticated, "Bearer", time.Time{}},
		{"empty", withHeaders(t.Context(), ""), codes.Unauthenticated, "Bearer", time.Time{}},
		{"two tokens", withHeaders(t.Context(), "Bearer "+current, "Bearer wrong"), codes.Unauthenticated, "one token", time.Time{}},
		{"plaintext", plaintext, codes.Unauthenticated, "isn't encrypted", time.Time{}},
	} {
		id, err := tokens.Authenticate(tc.ctx)
		switch {
		case status.Code(err) != tc.code:
			t.Errorf("%s: got %v, want %s", tc.name, err, tc.code)
		case err != nil && !strings.Contains(err.Error(), tc.what):
			t.Errorf("%s: got %v, want %q in it", tc.name, err, tc.what)
		case err != nil && strings.Contains(err.Error(), current):
			t.Errorf("%s: the error has the token in it", tc.name)
		case err == nil && (id.Name != "system:serviceaccount:shop:envoy" || !id.Expires.Equal(tc.expires)):
			t.Errorf("%s: got %q until %s, want until %s", tc.name, id.Name, id.Expires, tc.expires)
		}
	}
	if reviews[current] != 1 {
		t.Errorf("a token was reviewed %d times", reviews[current])
	}
	if id, err := tokens.Authenticate(t.Context()); id != nil || err != nil {
		t.Errorf("no header: got %v, %v, want nothing", id, err)
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	known := fleets{"a/single": "infra/plain"}
	for _, tc := range []struct {
		user, scope string
		asked       string // what is asked for, and the answer to the last: allow, deny, nothing (no opinion) or error
		code        codes.Code
	}{
		{"system:serviceaccount:shop:envoy", "gateway/a/web", "gateways.v1.gateway.networking.k8s.io/xds a/web allow", codes.OK},
		{"system:serviceaccount:shop:envoy", "gateway/a/web", "gateways.v1.gateway.networking.k8s.io/xds a/web deny", codes.PermissionDenied},
		{"system:serviceaccount:shop:envoy", "gateway/a/web", "gateways.v1.gateway.networking.k8s.io/xds a/web nothing", codes.PermissionDenied},
		{"system:serviceaccount:shop:envoy", "gateway/a/web", "gateways.v1.gateway.networking.k8s.io/xds a/web error", codes.Unavailable},
		{"system:serviceaccount:shop:envoy", "gateway/a/single", "gateways.v1.gateway.networking.k8s.io/xds a/single; envoyfleets.v1alpha1.gateway-apiserver.dev/xds infra/plain allow", codes.OK},
		{"system:serviceaccount:shop:envoy", "gateway/a/single", "gateways.v1.gateway.networking.k8s.io/xds a/single; envoyfleets.v1alpha1.gateway-apiserver.dev/xds infra/plain deny", codes.PermissionDenied},
		{"system:serviceaccount:shop:envoy", "gateway/a/single", "gateways.v1.gateway.networking.k8s.io/xds a/single; envoyfleets.v1alpha1.gateway-apiserver.dev/xds infra/plain error", codes.Unavailable},
		{"jane", "fleet/infra/edge", "envoyfleets.v1alpha1.gateway-apiserver.dev/xds infra/edge allow", codes.OK},
		{"jane", "fleet/infra/edge", "envoyfleets.v1alpha1.gateway-apiserver.dev/xds infra/edge deny", codes.PermissionDenied},
		{"system:serviceaccount:shop:web", "sidecar/shop", "", codes.OK},
		{"system:serviceaccount:shop:web", "mesh/shop", "", codes.OK},
		{"system:serviceaccount:shop:web", "mesh", "", codes.OK},
		{"system:serviceaccount:shop:web", "sidecar/bank", "", codes.PermissionDenied},
		{"system:serviceaccount:shop:web", "mesh/bank", "", codes.PermissionDenied},
		{"jane", "sidecar/shop", "", codes.PermissionDenied},
		{"jane", "mesh", "", codes.PermissionDenied},
	} {
		var asked []string
		want := strings.Split(tc.asked, "; ")
		last := want[len(want)-1]
		id := &Identity{Name: tc.user, holder: bearer{
			&user.DefaultInfo{Name: tc.user, Groups: []string{"g"}, Extra: map[string][]string{"authentication.kubernetes.io/pod-name": {"one-of-many"}}},
			authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
				if a.GetVerb() != "get" || !a.IsResourceRequest() || a.GetUser().GetName() != tc.user || len(a.GetUser().GetGroups()) != 1 || len(a.GetUser().GetExtra()) != 0 {
					t.Errorf("%s: asked about %+v", tc.scope, a)
				}
				q := fmt.Sprintf("%s.%s.%s/%s %s/%s", a.GetResource(), a.GetAPIVersion(), a.GetAPIGroup(), a.GetSubresource(), a.GetNamespace(), a.GetName())
				asked = append(asked, q)
				switch strings.TrimPrefix(last, q+" ") {
				case "allow":
					return authorizer.DecisionAllow, "", nil
				case "error":
					return authorizer.DecisionNoOpinion, "", errors.New("timed out")
				case "nothing":
					return authorizer.DecisionNoOpinion, "", nil
				}
				return authorizer.DecisionDeny, "", nil
			})}}
		err := id.Authorize(t.Context(), tc.scope, known)
		if status.Code(err) != tc.code || err != nil && tc.code != codes.Unavailable && !strings.Contains(err.Error(), tc.user+" may not read") {
			t.Errorf("%s reads %s: got %v, want %s", tc.user, tc.scope, err, tc.code)
		}
		if got := strings.Join(asked, "; "); !strings.HasPrefix(tc.asked, got) || got == "" != (tc.asked == "") {
			t.Errorf("%s reads %s: asked for %q, want %q", tc.user, tc.scope, got, tc.asked)
		}
	}
}
