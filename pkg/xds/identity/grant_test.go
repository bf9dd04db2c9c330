package identity

import (
	"net/url"
	"strings"
	"testing"
)

func TestParseURI(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		uri  string
		want string // the grant, "" for none of ours, or with a "!", what is in the error
	}{
		{"spiffe://gateway-apiserver.dev/gateway/default/web", "Gateway default/web"},
		{"spiffe://gateway-apiserver.dev/gateway/default/web.example.com", "Gateway default/web.example.com"},
		{"spiffe://gateway-apiserver.dev/fleet/infra/edge", "EnvoyFleet infra/edge"},
		{"spiffe://gateway-apiserver.dev/sidecar/shop", "sidecars of namespace shop"},
		{"spiffe://gateway-apiserver.dev/proxyless/shop", "proxyless clients of namespace shop"},

		{"spiffe://cluster.local/ns/default/sa/web", ""},
		{"https://gateway-apiserver.dev/gateway/default/web", ""},
		{"spiffe://gateway-apiserver.dev.example.com/gateway/default/web", ""},
		{"spiffe://GATEWAY-APISERVER.DEV/gateway/default/web", ""},

		{"spiffe://gateway-apiserver.dev", "!none of gateway, fleet"},
		{"spiffe://gateway-apiserver.dev/gateways/default/web", "!none of gateway, fleet"},
		{"spiffe://gateway-apiserver.dev/gateway/default", "!must be a namespace and a name"},
		{"spiffe://gateway-apiserver.dev/gateway/default/", "!must be a namespace and a name"},
		{"spiffe://gateway-apiserver.dev/gateway/default/*", "!must be a namespace and a name"},
		{"spiffe://gateway-apiserver.dev/gateway/*/web", "!must be a namespace and a name"},
		{"spiffe://gateway-apiserver.dev/gateway/default/../web", "!must be a namespace and a name"},
		{"spiffe://gateway-apiserver.dev/gateway/default/web/x", "!must be a namespace and a name"},
		{"spiffe://gateway-apiserver.dev/gateway/default%2Fweb/x", "!must be a namespace and a name"},
		{"spiffe://gateway-apiserver.dev//gateway/default/web", "!none of gateway, fleet"},
		{"spiffe://gateway-apiserver.dev/sidecar/shop/web", "!must be the name of a namespace"},
		{"spiffe://gateway-apiserver.dev/sidecar/", "!must be the name of a namespace"},
		{"spiffe://gateway-apiserver.dev/gateway/default%2Fweb", "!must be written"},
		{"spiffe://gateway-apiserver.dev/gateway/default/web?x", "!must be written"},
		{"spiffe://gateway-apiserver.dev/gateway/default/web#x", "!must be written"},
		{"spiffe://me@gateway-apiserver.dev/gateway/default/web", "!must be written"},
	} {
		u, err := url.Parse(tc.uri)
		if err != nil {
			t.Fatal(err)
		}
		g, ours, err := ParseURI(u)
		switch want, refused := strings.CutPrefix(tc.want, "!"); {
		case refused:
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v and error %v, want an error with %q", tc.uri, g, err, want)
			}
		case err != nil || ours != (want != ""):
			t.Errorf("%s: got %v, %v, %v", tc.uri, g, ours, err)
		case ours && (g.String() != want || g.URI().String() != tc.uri):
			t.Errorf("%s: got %s (%s), want %s", tc.uri, g, g.URI(), want)
		}
	}
}
