package translate

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"regexp"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	statefulsessionv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/stateful_session/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	cookiesessionv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/stateful_session/cookie/v3"
	headersessionv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/stateful_session/header/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/type/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

const statefulSession = "envoy.filters.http.stateful_session"

// sessionFilter is the HTTP filter that keeps sessions, where a route says how. Every listener has it, switched off, so
// that the first route that needs it costs no change of the listener, which would drain its connections.
func sessionFilter() *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{
		Name:       statefulSession,
		ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed(&statefulsessionv3.StatefulSession{})},
		Disabled:   true,
	}
}

// A sessionToken is what a client shows to be sent to the endpoint that it was sent to before: a cookie or a header, whose
// value is the endpoint's address. An endpoint that is gone, or that terminates, is replaced by another one: "data planes
// MAY fall back to available backends" (GEP-1619).
type sessionToken struct {
	name     string // unique in the rule; in lower case if it is a header's
	header   bool
	lifetime time.Duration // of a cookie, if it is permanent
	byRule   bool          // and not by a policy of the Service
}

// giveTokens gives a token to each backend of the rule that keeps sessions. Each has its own, because Envoy chooses the
// backend before it reads the token: the names tell whose token a request has. Of backends whose tokens would go by one
// name, the first keeps it.
func (r *rule) giveTokens() {
	var owners map[string]graph.BackendKey
	for i := range r.backends {
		b := &r.backends[i]
		session := cmp.Or(r.facts.Session, b.Session)
		if session == nil || b.fails() {
			continue
		}
		if owners == nil {
			owners = map[string]graph.BackendKey{}
		}
		token := &sessionToken{name: session.Name, header: session.Header, lifetime: session.Lifetime, byRule: r.facts.Session != nil}
		if token.header {
			token.name = lowerName(token.name)
		}
		if token.name == "" {
			token.name = r.tokenName(b)
		} else if owner, taken := owners[token.name]; taken && owner != b.Backend {
			token.name += "-" + r.tokenName(b)
		}
		owners[token.name] = b.Backend
		b.token = token
	}
}

// tokenName makes up a name: "if SessionName is not specified, then a unique cookie name should be generated", unique to the
// rule too, since "route rules referencing the same service MUST NOT share persistent sessions" (GEP-1619).
func (r *rule) tokenName(b *backend) string {
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, r.name, " ", b.Backend) // a hash takes everything
	return fmt.Sprintf("session-%016x", h.Sum64())
}

// matcher matches requests that have the token. Envoys of 2025 could match cookies by name, and older ones would ignore
// that they should: hence the expression.
func (t *sessionToken) matcher() *routev3.HeaderMatcher {
	if t.header {
		return &routev3.HeaderMatcher{Name: t.name, HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: true}}
	}
	return headerMatcher(valueMatch{name: "cookie", value: `(?:.*[;,]\s*)?` + regexp.QuoteMeta(t.name) + `=[^;,].*`, regex: true})
}

// config makes a route, or one of its clusters, read and write the token.
func (t *sessionToken) config(path pathMatch, https bool) *anypb.Any {
	name, state := "envoy.http.stateful_session.cookie", proto.Message(nil)
	if t.header {
		name, state = "envoy.http.stateful_session.header", &headersessionv3.HeaderBasedSessionState{Name: t.name}
	} else {
		state = &cookiesessionv3.CookieBasedSessionState{Cookie: t.cookie(path, https)}
	}
	return packed(&statefulsessionv3.StatefulSessionPerRoute{
		Override: &statefulsessionv3.StatefulSessionPerRoute_StatefulSession{
			StatefulSession: &statefulsessionv3.StatefulSession{
				SessionState: &corev3.TypedExtensionConfig{Name: name, TypedConfig: packed(state)},
			},
		},
	})
}

// cookie returns what Envoy, which adds HttpOnly, is to set: "follow the security-by-default principle ... enabling Secure
// and HttpOnly, and setting SameSite to Strict" (GEP-1619). Over HTTP, a Secure cookie would never come back.
func (t *sessionToken) cookie(path pathMatch, https bool) *httpv3.Cookie {
	out := &httpv3.Cookie{Name: t.name, Attributes: []*httpv3.CookieAttribute{{Name: "SameSite", Value: "Strict"}}}
	if https {
		out.Attributes = append(out.Attributes, &httpv3.CookieAttribute{Name: "Secure"})
	}
	if t.lifetime > 0 {
		// Envoy counts in seconds, and takes 0 for a cookie that isn't permanent.
		out.Ttl = durationpb.New((t.lifetime + time.Second - 1).Truncate(time.Second))
	}
	// "If the BackendLBPolicy policy is attached to a service, the Path attribute MUST be left unset."
	if t.byRule {
		out.Path = cookiePath(path)
	}
	return out
}

// cookiePath returns the path of the cookie of a route's rule, which is that of the match: "For an xRoute using a path that
// is a regex, the Path should be set to the longest non-regex prefix" (GEP-1619), of whole path elements. What can't
// be in the attribute (RFC 6265, path-value) ends the prefix too.
func cookiePath(p pathMatch) string {
	path, whole := p.value, true
	if p.form == pathRegex {
		expression, err := regexp.Compile(p.value)
		if err != nil {
			return "/"
		}
		path, whole = expression.LiteralPrefix()
	}
	if i := strings.IndexFunc(path, func(r rune) bool { return r < ' ' || r > '~' || r == ';' }); i >= 0 {
		path, whole = path[:i], false
	}
	if !whole {
		path = strings.TrimRight(path[:strings.LastIndexByte(path, '/')+1], "/")
	}
	if !strings.HasPrefix(path, "/") {
		return "/"
	}
	return path
}
