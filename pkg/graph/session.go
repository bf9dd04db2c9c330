package graph

import (
	"fmt"
	"slices"
	"strings"
	"time"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// ruleSession reads the session persistence of a rule; nil if there is none.
func ruleSession(id ruleID, spec *gwv1.SessionPersistence) (*SessionFacts, *Problem) {
	if spec == nil {
		return nil, nil
	}
	return session(spec, id.field)
}

// session reads a SessionPersistence, or says what is wrong with it. The function field makes the paths of fields.
func session(spec *gwv1.SessionPersistence, field func(path string) string) (*SessionFacts, *Problem) {
	f := &SessionFacts{Name: valueOr(spec.SessionName, "")}
	switch t := valueOr(spec.Type, gwv1.CookieBasedSessionPersistence); t {
	case gwv1.CookieBasedSessionPersistence:
	case gwv1.HeaderBasedSessionPersistence:
		f.Header = true
	default:
		return nil, unsupportedValue("%s is not known", t).in(field("sessionPersistence.type"))
	}
	if p := invalidSessionName(f.Name, f.Header); spec.SessionName != nil && p != nil {
		return nil, p.in(field("sessionPersistence.sessionName"))
	}
	if c := spec.CookieConfig; c != nil && c.LifetimeType != nil && !slices.Contains(lifetimeTypes, *c.LifetimeType) {
		return nil, unsupportedValue("%s is not known", *c.LifetimeType).in(field("sessionPersistence.cookieConfig.lifetimeType"))
	}
	timeout, p := absoluteTimeout(spec)
	if p != nil {
		return nil, p.in(field("sessionPersistence.absoluteTimeout"))
	}
	if isPermanent(spec) {
		if timeout <= 0 {
			return nil, unsupportedValue("a cookie with lifetimeType %s needs a time after which it expires", gwv1.PermanentCookieLifetimeType).
				in(field("sessionPersistence.absoluteTimeout"))
		}
		f.Lifetime = timeout
	}
	return f, nil
}

var lifetimeTypes = []gwv1.CookieLifetimeType{gwv1.SessionCookieLifetimeType, gwv1.PermanentCookieLifetimeType}

func isCookie(spec *gwv1.SessionPersistence) bool {
	return valueOr(spec.Type, gwv1.CookieBasedSessionPersistence) == gwv1.CookieBasedSessionPersistence
}

func isPermanent(spec *gwv1.SessionPersistence) bool {
	cookie := spec.CookieConfig
	return isCookie(spec) && cookie != nil && valueOr(cookie.LifetimeType, gwv1.SessionCookieLifetimeType) == gwv1.PermanentCookieLifetimeType
}

func absoluteTimeout(spec *gwv1.SessionPersistence) (time.Duration, *Problem) {
	if spec.AbsoluteTimeout == nil {
		return 0, nil
	}
	timeout, err := time.ParseDuration(string(*spec.AbsoluteTimeout))
	if err != nil {
		return 0, unsupportedValue("%q is not a duration", *spec.AbsoluteTimeout)
	}
	return timeout, nil
}

// notForSessions are headers that have a meaning of their own, which an endpoint's address in it would break.
var notForSessions = append([]string{"cookie", "host", "set-cookie"}, hopHeaders...)

// invalidSessionName: the schema allows any text, but cookies and headers are named by tokens (RFC 6265, RFC 9110), and
// what Envoy writes must not break the response.
func invalidSessionName(name string, header bool) *Problem {
	if !isToken(name) {
		return unsupportedValue("%q cannot be the name of a cookie or a header; use letters, digits and any of !#$%%&'*+-.^_`|~", name)
	}
	if header && slices.Contains(notForSessions, strings.ToLower(name)) {
		return unsupportedValue("the header %s has a meaning of its own; choose another name", name)
	}
	return nil
}

// isToken: names of headers and cookies are tokens (RFC 9110, RFC 6265).
func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool { return !isTokenRune(r) })
}

// isTokenRune: tchar of RFC 9110.
func isTokenRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// sessionWarnings names what of a valid SessionPersistence has no effect: "when set to Session, AbsoluteTimeout indicates
// the absolute lifetime of the cookie tracked by the gateway". Envoy tracks no session; what it knows is in the cookie or
// the header, and only the former may say when it expires.
func sessionWarnings(spec *gwv1.SessionPersistence, field func(path string) string) []string {
	var warnings []string
	warn := func(path, why string) {
		warnings = append(warnings, field("sessionPersistence."+path)+" has no effect: "+why)
	}
	switch {
	case spec.AbsoluteTimeout == nil || isPermanent(spec):
	case isCookie(spec):
		warn("absoluteTimeout", fmt.Sprintf("in Envoy only a cookie with lifetimeType %s expires", gwv1.PermanentCookieLifetimeType))
	default:
		warn("absoluteTimeout", "a session that is told by a header never expires in Envoy")
	}
	if spec.CookieConfig != nil && !isCookie(spec) { // which the schema of v1 refuses
		warn("cookieConfig", "the session is told by a header")
	}
	return warnings
}

// backendSession returns the session persistence that a policy gives to a backend of a rule: "Session persistence
// configuration specified in a route rule SHALL override equivalent configuration in BackendLBPolicy" (GEP-1619).
func (g *Graph) backendSession(rule *SessionFacts, b *BackendFacts) *SessionFacts {
	if rule != nil || b.Problem != nil {
		return nil
	}
	return g.trafficPolicyOf(b.Backend.Key).session
}

// meshSessionWarnings: of the gRPC clients, only some keep sessions (gRFC A55), and the others refuse a configuration that
// asks for it.
func meshSessionWarnings(id ruleID, spec *gwv1.SessionPersistence) []string {
	if spec == nil {
		return nil
	}
	return []string{id.field("sessionPersistence") +
		" has no effect for proxyless gRPC clients, which keep no sessions"}
}
