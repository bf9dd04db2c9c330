package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// fleets are EnvoyFleets by the names of Gateways.
type fleets map[string]string

func (f fleets) FleetOf(gateway string) string { return f[gateway] }

// grants returns grants that are written as in a URI.
func grants(t *testing.T, written ...string) []Grant {
	t.Helper()
	var out []Grant
	for _, w := range written {
		kind, of, _ := strings.Cut(w, "/")
		g, err := NewGrant(Kind(kind), of)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, g)
	}
	return out
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	known := fleets{"a/single": "infra/plain", "a/one": "infra/merged", "a/two": "infra/merged"}
	for _, tc := range []struct {
		grants, scope string
		allowed       bool
	}{
		{"gateway/a/web", "gateway/a/web", true},
		{"gateway/a/web", "gateway/a/web2", false},
		{"gateway/a/web", "gateway/b/web", false},
		{"gateway/a/web", "fleet/a/web", false},
		{"gateway/a/web", "mesh", false},
		{"gateway/a/web", "sidecar/a", false},
		{"gateway/a/web gateway/b/web", "gateway/b/web", true},

		{"fleet/infra/plain", "gateway/a/single", true},
		{"fleet/infra/plain", "gateway/a/one", false},
		{"fleet/infra/plain", "gateway/a/unknown", false},
		{"fleet/infra/merged", "fleet/infra/merged", true},
		{"fleet/infra/merged", "fleet/infra/other", false},
		// Whoever joins the fleet tomorrow is not among these.
		{"gateway/a/one gateway/a/two", "fleet/infra/merged", false},

		{"sidecar/shop", "sidecar/shop", true},
		{"sidecar/shop", "sidecar/bank", false},
		{"sidecar/shop", "sidecar", false},
		{"sidecar/shop", "mesh/shop", false},
		{"sidecar/shop", "mesh", false},
		{"proxyless/shop", "mesh/shop", true},
		{"proxyless/shop", "mesh", true},
		{"proxyless/shop", "mesh/bank", false},
		{"proxyless/shop", "sidecar/shop", false},

		{"", "gateway/a/web", false},
		{"", "mesh", false},
		{"gateway/a/web", "", false},
		{"gateway/a/web", "gateway/", false},
		{"gateway/a/web", "gateway/a/web/", false},
		{"gateway/a/web", "other/a/web", false},
	} {
		id := New("somebody", time.Time{}, grants(t, strings.Fields(tc.grants)...)...)
		err := id.Authorize(t.Context(), tc.scope, known)
		switch {
		case (err == nil) != tc.allowed:
			t.Errorf("%q reads %q: got %v", tc.grants, tc.scope, err)
		case err != nil && (status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "somebody may not") && !strings.Contains(err.Error(), "must be")):
			t.Errorf("%q reads %q: got %v, want PermissionDenied, and for whom", tc.grants, tc.scope, err)
		}
	}
}

func TestAuthorizeSaysWhatToDo(t *testing.T) {
	t.Parallel()
	id := New("somebody", time.Time{}, grants(t, "gateway/a/web")...)
	for scope, want := range map[string]string{
		"gateway/b/web": "xds-cert --gateway b/web",
		"fleet/b/web":   "xds-cert --fleet b/web",
		"sidecar/b":     "xds-cert --sidecar b",
		"mesh/b":        "xds-cert --proxyless b",
		"mesh":          "node.metadata",
	} {
		if err := id.Authorize(t.Context(), scope, fleets{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", scope, err, want)
		}
	}
}

// withCertificates returns the context of a stream whose client showed verified chains, each of which is given as the times until
// its certificates expire.
func withCertificates(t *testing.T, verified bool, uris []string, chains ...[]time.Duration) context.Context {
	t.Helper()
	var state tls.ConnectionState
	for _, lifetimes := range chains {
		var chain []*x509.Certificate
		for _, d := range lifetimes {
			chain = append(chain, &x509.Certificate{NotAfter: time.Now().Add(d)})
		}
		for _, uri := range uris {
			u, err := url.Parse(uri)
			if err != nil {
				t.Fatal(err)
			}
			chain[0].URIs = append(chain[0].URIs, u)
		}
		state.PeerCertificates = chain
		if verified {
			state.VerifiedChains = append(state.VerifiedChains, chain)
		}
	}
	return peer.NewContext(t.Context(), &peer.Peer{AuthInfo: credentials.TLSInfo{State: state}})
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	web, other := "spiffe://gateway-apiserver.dev/gateway/a/web", "spiffe://cluster.local/ns/a/sa/web"
	day := []time.Duration{24 * time.Hour, 48 * time.Hour}
	for _, tc := range []struct {
		name string
		ctx  context.Context
		want string // the name, "" for nobody, or with a "!", what is in the error
	}{
		{"one grant", withCertificates(t, true, []string{web}, day), web},
		{"a foreign name beside it", withCertificates(t, true, []string{other, web}, day), web},
		{"a foreign name", withCertificates(t, true, []string{other}, day), ""},
		{"no name", withCertificates(t, true, nil, day), ""},
		{"not verified", withCertificates(t, false, []string{web}, day), ""},
		{"no certificate", withCertificates(t, true, nil), ""},
		{"no TLS", peer.NewContext(t.Context(), &peer.Peer{}), ""},
		{"no peer", t.Context(), ""},
		{"malformed", withCertificates(t, true, []string{web, "spiffe://gateway-apiserver.dev/gateway/*"}, day), "!must be a namespace and a name"},
		{"expired", withCertificates(t, true, []string{web}, []time.Duration{-time.Second, time.Hour}), "!renew"},
		{"CA expired", withCertificates(t, true, []string{web}, []time.Duration{time.Hour, -time.Second}), "!renew"},
		{"one of two CAs expired", withCertificates(t, true, []string{web}, []time.Duration{time.Hour, -time.Second}, day), web},
	} {
		id, err := Certificates{}.Authenticate(tc.ctx)
		switch want, refused := strings.CutPrefix(tc.want, "!"); {
		case refused:
			if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), want) || id != nil {
				t.Errorf("%s: got %v and error %v, want Unauthenticated with %q", tc.name, id, err, want)
			}
		case err != nil || (id == nil) != (want == ""):
			t.Errorf("%s: got %v, %v", tc.name, id, err)
		case id != nil && (id.Name != want || time.Until(id.Expires) > 24*time.Hour || time.Until(id.Expires) < 23*time.Hour):
			t.Errorf("%s: got %q until %s, want %q for a day", tc.name, id.Name, id.Expires, want)
		}
	}
}

func TestFirstOf(t *testing.T) {
	t.Parallel()
	web := withCertificates(t, true, []string{"spiffe://gateway-apiserver.dev/gateway/a/web"}, []time.Duration{time.Hour})
	refuses := answer{err: status.Error(codes.Unauthenticated, "no")}
	knows := answer{id: New("token", time.Time{})}
	for _, tc := range []struct {
		name string
		of   FirstOf
		ctx  context.Context
		want string // the name, or with a "!", what is in the error
	}{
		{"the certificate", FirstOf{Certificates{}, refuses}, web, "spiffe://gateway-apiserver.dev/gateway/a/web"},
		{"the token", FirstOf{Certificates{}, knows}, t.Context(), "token"},
		{"a wrong token", FirstOf{refuses, Certificates{}}, web, "!no"},
		{"nothing", FirstOf{Certificates{}}, t.Context(), "!xds-cert"},
		{"nobody to ask", nil, web, "!prove who they are"},
	} {
		id, err := tc.of.Authenticate(tc.ctx)
		if want, refused := strings.CutPrefix(tc.want, "!"); refused {
			if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, %v, want Unauthenticated with %q", tc.name, id, err, want)
			}
		} else if err != nil || id.Name != want {
			t.Errorf("%s: got %v, %v, want %q", tc.name, id, err, want)
		}
	}
}

type answer struct {
	id  *Identity
	err error
}

func (a answer) Authenticate(context.Context) (*Identity, error) { return a.id, a.err }
