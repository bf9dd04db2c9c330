package identity

import (
	"fmt"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// TrustDomain is the SPIFFE trust domain of the certificates of xDS clients.
const TrustDomain = "gateway-apiserver.dev"

// Kind is what a grant is of.
type Kind string

// The kinds of grants. Those of Gateways and EnvoyFleets include private keys, those of the mesh don't.
const (
	// Gateway is the configuration of a Gateway that isn't merged with others.
	Gateway Kind = "gateway"
	// Fleet is the configuration of an EnvoyFleet that merges its Gateways, and of each Gateway of one that doesn't.
	Fleet Kind = "fleet"
	// Sidecar is that of the sidecars of a namespace.
	Sidecar Kind = "sidecar"
	// Proxyless is that of the proxyless clients of a namespace, and of those that don't say where they are.
	Proxyless Kind = "proxyless"
)

// namespaced says which kinds are of an object; the others are of a namespace.
var namespaced = map[Kind]bool{Gateway: true, Fleet: true, Sidecar: false, Proxyless: false}

// Grant is the right to read something.
type Grant struct {
	Kind      Kind
	Namespace string
	Name      string // of the Gateway or EnvoyFleet; empty for the other kinds
}

// NewGrant returns the grant of a kind for "namespace/name", or for the name of a namespace.
func NewGrant(kind Kind, of string) (Grant, error) {
	ofObject, ok := namespaced[kind]
	if !ok {
		return Grant{}, fmt.Errorf("%q is none of gateway, fleet, sidecar and proxyless", kind)
	}
	namespace, name, _ := strings.Cut(of, "/")
	if len(validation.IsDNS1123Label(namespace)) > 0 || ofObject != (len(validation.IsDNS1123Subdomain(name)) == 0) || !ofObject && of != namespace {
		form := "the name of a namespace"
		if ofObject {
			form = "a namespace and a name, as in default/web"
		}
		return Grant{}, fmt.Errorf("%s: must be %s, not %q", kind, form, of)
	}
	return Grant{Kind: kind, Namespace: namespace, Name: name}, nil
}

// of returns what NewGrant takes.
func (g Grant) of() string {
	if g.Name == "" {
		return g.Namespace
	}
	return g.Namespace + "/" + g.Name
}

// String returns the grant in the words of messages, as in "Gateway default/web".
func (g Grant) String() string {
	switch g.Kind {
	case Gateway:
		return "Gateway " + g.of()
	case Fleet:
		return "EnvoyFleet " + g.of()
	case Sidecar:
		return "sidecars of namespace " + g.of()
	}
	return "proxyless clients of namespace " + g.of()
}

// URI returns the grant as the SPIFFE ID that a certificate has as a subject alternative name, such as
// spiffe://gateway-apiserver.dev/gateway/default/web.
func (g Grant) URI() *url.URL {
	return &url.URL{Scheme: "spiffe", Host: TrustDomain, Path: "/" + string(g.Kind) + "/" + g.of()}
}

// ParseURI returns the grant of a SPIFFE ID. It is none of ours (ok is false) if it has another trust domain or scheme.
func ParseURI(u *url.URL) (g Grant, ok bool, err error) {
	if u.Scheme != "spiffe" || u.Host != TrustDomain {
		return Grant{}, false, nil
	}
	kind, of, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if g, err = NewGrant(Kind(kind), of); err != nil {
		return Grant{}, true, fmt.Errorf("SPIFFE ID %q: %w", u, err)
	}
	if g.URI().String() != u.String() { // a user, port, query, fragment or odd escapes
		return Grant{}, true, fmt.Errorf("SPIFFE ID %q: must be written %q", u, g.URI())
	}
	return g, true, nil
}
