package identity

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/token/cache"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// Audience is that of the tokens of xDS clients. A token for the kube-apiserver is refused, so that no client has to send one.
const Audience = "gateway-apiserver.dev/xds"

// Tokens authenticates clients by the bearer token in the metadata of their streams, and asks what they may read: the verb get on
// gateways/xds (gateway.networking.k8s.io) or envoyfleets/xds (gateway-apiserver.dev). A ServiceAccount may read the mesh as its
// own namespace without more.
type Tokens struct {
	tokens authenticator.Token
	access authorizer.UnconditionalAuthorizer
}

// How long answers about tokens are good. Each request of a stream asks, and what all nodes of a fleet acknowledge at once must not
// be a TokenReview for each.
const (
	goodFor = time.Minute
	badFor  = 10 * time.Second
)

// NewTokens returns an authenticator that asks others. It remembers their answers about tokens for a minute; those about access are
// expected to be remembered by access.
func NewTokens(tokens authenticator.Token, access authorizer.UnconditionalAuthorizer) *Tokens {
	return &Tokens{tokens: cache.New(tokens, false, goodFor, badFor), access: access}
}

// Authenticate returns nil without an error if there is no token.
func (t *Tokens) Authenticate(ctx context.Context) (*Identity, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	headers := md.Get("authorization")
	if len(headers) == 0 {
		return nil, nil
	}
	if p, _ := peer.FromContext(ctx); !encrypted(p) {
		return nil, status.Error(codes.Unauthenticated, "a token was sent over a connection that isn't encrypted: use TLS, and another token, for this one may have been read")
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if token = strings.TrimSpace(token); len(headers) > 1 || !strings.EqualFold(scheme, "bearer") || token == "" {
		return nil, status.Error(codes.Unauthenticated, `metadata "authorization": must be "Bearer" and one token`)
	}
	resp, ok, err := t.tokens.AuthenticateToken(authenticator.WithAudiences(ctx, authenticator.Audiences{Audience}), token)
	switch {
	case err != nil:
		return nil, status.Errorf(codes.Unavailable, "the token can't be checked: %v", err)
	case !ok || !resp.Audiences.Has(Audience):
		return nil, status.Errorf(codes.Unauthenticated, "the token was refused: it must be a current one for the audience %s", Audience)
	}
	expires := tokenExpiry(token)
	if !expires.IsZero() && !time.Now().Before(expires) {
		return nil, status.Errorf(codes.Unauthenticated, "the token expired at %s: send a new one", expires.UTC().Format(time.RFC3339))
	}
	return &Identity{Name: resp.User.GetName(), Expires: expires, holder: bearer{resp.User, t.access}}, nil
}

// encrypted says that nobody but the peer reads what is sent.
func encrypted(p *peer.Peer) bool {
	if p == nil {
		return false
	}
	_, ok := p.AuthInfo.(credentials.TLSInfo)
	return ok
}

// tokenExpiry returns the claim exp of a token that has been verified, or zero if it has none (RFC 7519, section 4.1.4).
func tokenExpiry(token string) time.Time {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}
	}
	var claims struct {
		Expires float64 `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Expires <= 0 || claims.Expires > 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(claims.Expires), 0)
}

// bearer holds what an authorizer says.
type bearer struct {
	user   user.Info
	access authorizer.UnconditionalAuthorizer
}

// resources are what an authorizer is asked for.
var resources = map[Kind]struct{ group, version, resource string }{
	Gateway: {"gateway.networking.k8s.io", "v1", "gateways"},
	Fleet:   {"gateway-apiserver.dev", "v1alpha1", "envoyfleets"},
}

func (b bearer) holds(ctx context.Context, g Grant) error {
	r, ok := resources[g.Kind]
	if !ok {
		if namespace, _, err := serviceaccount.SplitUsername(b.user.GetName()); err == nil && namespace == g.Namespace {
			return nil
		}
		return status.Errorf(codes.PermissionDenied, "%s may not read the configuration of %s: it takes a ServiceAccount of that namespace", b.user.GetName(), g)
	}
	decision, _, err := b.access.Authorize(ctx, authorizer.AttributesRecord{
		// Without what it says of its Pod, so that the answer is one for all Pods of a ServiceAccount.
		User:            &user.DefaultInfo{Name: b.user.GetName(), UID: b.user.GetUID(), Groups: b.user.GetGroups()},
		Verb:            "get",
		Namespace:       g.Namespace,
		APIGroup:        r.group,
		APIVersion:      r.version,
		Resource:        r.resource,
		Subresource:     "xds",
		Name:            g.Name,
		ResourceRequest: true,
	})
	switch {
	case decision == authorizer.DecisionAllow:
		return nil
	case err != nil:
		return status.Errorf(codes.Unavailable, "whether %s may read the configuration of %s can't be checked: %v", b.user.GetName(), g, err)
	}
	return status.Errorf(codes.PermissionDenied, "%s may not read the configuration of %s: bind it to a Role in namespace %s that allows the verb get on %s/xds (%s) for the name %s",
		b.user.GetName(), g, g.Namespace, r.resource, r.group, g.Name)
}

func (b bearer) mesh(context.Context) error {
	if _, _, err := serviceaccount.SplitUsername(b.user.GetName()); err != nil {
		return status.Errorf(codes.PermissionDenied, "%s may not read the configuration of the mesh: it takes a ServiceAccount", b.user.GetName())
	}
	return nil
}
