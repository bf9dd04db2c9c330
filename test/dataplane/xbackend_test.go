package dataplane_test

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

// serveDNS answers that a name is 127.0.0.1, and that there are no others, and returns its address.
func serveDNS(t *testing.T, name string) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buffer := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return // it is closed
			}
			var m dnsmessage.Message
			if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.Additionals = true, nil
			switch {
			case q.Name.String() != name+".":
				m.RCode = dnsmessage.RCodeNameError
			case q.Type == dnsmessage.TypeA:
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 3600},
					Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
				}}
			}
			if answer, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(answer, from) // who doesn't get it asks again
			}
		}
	}()
	return conn.LocalAddr().String()
}

// playXBackend plays with an XBackend, of a host that DNS knows as 127.0.0.1, and a rule's filters.
func playXBackend(t *testing.T, port, hostname, backendPort, spec, filters string, files map[string]string) *scene {
	t.Helper()
	all := map[string]string{
		"gateway.yaml": gateway(httpListener(port)),
		"api.yaml": fmt.Sprintf(`
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {name: api, namespace: default}
spec: {type: ExternalHostname, externalHostname: {hostname: %s}, port: {port: %s}%s}
`, hostname, backendPort, spec),
		"route.yaml": routeOf("app", `{backendRefs: [{group: gateway.networking.x-k8s.io, kind: XBackend, name: api}], filters: [`+filters+`]}`),
	}
	for name, objects := range files {
		all[name] = objects
	}
	s := set(t, all)
	_, dns, _ := net.SplitHostPort(serveDNS(t, "api.example.com"))
	s.added = fmt.Sprintf(`
typed_dns_resolver_config:
  name: envoy.network.dns_resolver.cares
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig
    resolvers: [{socket_address: {address: 127.0.0.1, port_value: %s}}]
`, dns)
	s.run("--gateway", "default/web")
	return s
}

// An external host is found in DNS, and gets the requests with the Host of the client unless a filter rewrites it.
func TestXBackend(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ hostname, filters, host, want string }{
		"as it is":  {"api.example.com", "", "web.example.com", "200 api /x"},
		"rewritten": {"api.example.com", `{type: URLRewrite, urlRewrite: {hostname: api.example.com}}`, "api.example.com", "200 api /x"},
		"unknown":   {"other.example.com", "", "", "503 no healthy upstream"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port, api := freePort(t), record(t, "api")
			s := playXBackend(t, port, test.hostname, api.port, "", test.filters, nil)
			s.answers(test.want, at(port, "/x"))
			if seen := api.requests(); test.host == "" && len(seen) != 0 || test.host != "" && (len(seen) != 1 || seen[0].host != test.host) {
				t.Errorf("the backend got %+v", seen)
			}
		})
	}
}

// TLS to an external host is as its XBackend says: the server's name, who vouches for it, and the protocol.
func TestXBackendTLS(t *testing.T) {
	t.Parallel()
	ca, err := pki.NewCA(pkix.Name{CommonName: "test"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	other, err := pki.NewCA(pkix.Name{CommonName: "other"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	validation := func(hostname string) string {
		return fmt.Sprintf(`, tls: {mode: ServerOnly,
    validation: {hostname: %s, caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}}`, hostname)
	}
	for name, test := range map[string]struct {
		spec string
		ca   *pki.CA
		want string
	}{
		"HTTP/1.1":            {validation("api.example.com"), ca, "200 HTTP/1.1 api.example.com web.example.com"},
		"HTTP/2":              {", protocol: HTTP2" + validation("api.example.com"), ca, "200 HTTP/2.0 api.example.com web.example.com"},
		"another server name": {validation("sni.example.com"), ca, "200 HTTP/1.1 sni.example.com web.example.com"},
		"a wrong server name": {validation("wrong.example.com"), ca, "503"},
		"a wrong CA":          {validation("api.example.com"), other, "503"},
		"no TLS":              {"", ca, "400 Client sent an HTTP request to an HTTPS server."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, r.Proto, " ", r.TLS.ServerName, " ", r.Host)
			}))
			certificate, key, err := ca.IssueServer("api", []string{"api.example.com", "sni.example.com"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			pair, err := tls.X509KeyPair(certificate, key)
			if err != nil {
				t.Fatal(err)
			}
			api.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
			api.EnableHTTP2 = true
			api.StartTLS()
			t.Cleanup(api.Close)
			port := freePort(t)
			playXBackend(t, port, "api.example.com", portOf(api.Listener), test.spec, "", map[string]string{"ca.yaml": configMap("ca", test.ca)})
			got, err := at(port, "/").send(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want && (test.want != "503" || !strings.HasPrefix(got, "503 ")) {
				t.Errorf("answered %q, want %q", got, test.want)
			}
		})
	}
}

// configMap is a ConfigMap with the certificate of a CA.
func configMap(name string, ca *pki.CA) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: ConfigMap
metadata: {name: %s, namespace: default}
data:
  ca.crt: |
    %s
`, name, strings.ReplaceAll(strings.TrimSpace(string(ca.PEM())), "\n", "\n    "))
}
