package dataplane_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

// gateway is the Gateway web with listeners at ports of 127.0.0.1.
func gateway(listeners ...string) string {
	return `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: default}
spec:
  gatewayClassName: gateway-apiserver
  addresses: [{type: IPAddress, value: 127.0.0.1}]
  listeners:
  - ` + strings.Join(listeners, "\n  - ")
}

func httpListener(port string) string {
	return fmt.Sprintf(`{name: http-%s, port: %s, protocol: HTTP}`, port, port)
}

// service is a Service whose endpoints are ports of 127.0.0.1.
func service(name string, ports ...string) string {
	out := fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: %s, namespace: default}
spec: {ports: [{name: http, port: 80}]}
`, name)
	for i, port := range ports {
		out += fmt.Sprintf(`---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s-%[2]d, namespace: default, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{name: http, port: %[3]s}]
endpoints: [{addresses: [127.0.0.1]}]
`, name, i, port)
	}
	return out
}

// route sends requests for a prefix of web.example.com to a Service.
func route(name, prefix, service string) string {
	return routeOf(name, fmt.Sprintf(`{matches: [{path: {type: PathPrefix, value: %s}}], backendRefs: [{name: %s, port: 80}]}`, prefix, service))
}

// routeOf has a rule for web.example.com.
func routeOf(name, rule string) string {
	return fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %s, namespace: default}
spec:
  parentRefs: [{name: web}]
  hostnames: [web.example.com]
  rules:
  - %s
`, name, rule)
}

// at is a request for web.example.com to a port of 127.0.0.1.
func at(port, path string) request {
	return request{url: "http://127.0.0.1:" + port + path, host: "web.example.com"}
}

func TestTraffic(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := play(t, map[string]string{
		"gateway.yaml": gateway(httpListener(port)),
		"one.yaml":     service("one", backend(t, "one")),
		"route.yaml":   route("one", "/one", "one"),
	})
	to := func(path string) request {
		return request{url: "http://127.0.0.1:" + port + path, host: "web.example.com"}
	}
	s.answers("200 one /one/x?y=z", to("/one/x?y=z"))
	s.answers("404", to("/two"))
	s.answers("404", request{url: "http://127.0.0.1:" + port + "/one", host: "example.com"})

	s.apply("two.yaml", service("two", backend(t, "two")))
	s.apply("route-two.yaml", route("two", "/two", "two"))
	s.becomes("200 two /two", to("/two"))
	s.answers("200 one /one", to("/one"))

	s.apply("one.yaml", service("one", backend(t, "the new one")))
	s.becomes("200 the new one /one", to("/one"))
	s.apply("route.yaml", route("one", "/other", "one"))
	s.becomes("404", to("/one"))
	s.answers("200 the new one /other", to("/other"))

	another := freePort(t)
	s.apply("gateway.yaml", gateway(httpListener(another)))
	s.becomes("200 two /two", request{url: "http://127.0.0.1:" + another + "/two", host: "web.example.com"})
	if answer, err := to("/two").send(t.Context()); err == nil {
		t.Errorf("a listener that was removed answered %q", answer)
	}
}

func TestHTTPS(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	ca, err := pki.NewCA(pkix.Name{CommonName: "test"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s := play(t, map[string]string{
		"gateway.yaml": gateway(fmt.Sprintf(`{name: https, port: %s, protocol: HTTPS, hostname: web.example.com, tls: {certificateRefs: [{name: web}]}}`, port)),
		"secret.yaml":  secret(t, ca, "web"),
		"one.yaml":     service("one", backend(t, "one")),
		"route.yaml":   route("one", "/", "one"),
	})
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate())
	r := request{
		url: "https://127.0.0.1:" + port, host: "web.example.com",
		tls: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: "web.example.com"},
	}
	s.answers("200 one /", r)
	r.tls.ServerName = "other.example.com"
	if answer, err := r.send(t.Context()); err == nil {
		t.Errorf("asked for %s, it answered %q", r.tls.ServerName, answer)
	}
	// A renewed certificate counts for the next connection.
	renewed, err := pki.NewCA(pkix.Name{CommonName: "renewed"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	r.tls.ServerName, r.tls.RootCAs = "web.example.com", x509.NewCertPool()
	r.tls.RootCAs.AddCert(renewed.Certificate())
	s.apply("secret.yaml", secret(t, renewed, "web"))
	s.becomes("200 one /", r)
}

// secret is a Secret with a certificate for web.example.com.
func secret(t *testing.T, ca *pki.CA, name string) string {
	t.Helper()
	certificate, key, err := ca.IssueServer("web", []string{"web.example.com"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata: {name: %s, namespace: default}
type: kubernetes.io/tls
data: {tls.crt: %s, tls.key: %s}
`, name, base64.StdEncoding.EncodeToString(certificate), base64.StdEncoding.EncodeToString(key))
}

// Without its server, a data plane goes on with what it has, and then learns what changed.
func TestServerRestart(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := play(t, map[string]string{
		"gateway.yaml": gateway(httpListener(port)),
		"one.yaml":     service("one", backend(t, "one")),
		"route.yaml":   route("one", "/one", "one"),
	})
	to := func(path string) request {
		return request{url: "http://127.0.0.1:" + port + path, host: "web.example.com"}
	}
	s.answers("200 one /one", to("/one"))
	if err := s.server.Kill(); err != nil {
		t.Fatal(err)
	}
	s.answers("200 one /one", to("/one"))
	s.apply("route.yaml", route("one", "/two", "one"))
	s.serve()
	s.becomes("200 one /two", to("/two"))
	s.answers("404", to("/one"))
}

// A listener that can't be bound is rejected, with the reason, and keeps no other from being served.
func TestRejectedListener(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, takenPort, _ := net.SplitHostPort(taken.Addr().String())
	port := freePort(t)
	s := play(t, map[string]string{
		"gateway.yaml": gateway(httpListener(port), httpListener(takenPort)),
		"one.yaml":     service("one", backend(t, "one")),
		"route.yaml":   route("one", "/", "one"),
	})
	s.answers("200 one /", request{url: "http://127.0.0.1:" + port, host: "web.example.com"})
	s.eventually(func() error {
		if !logged(s.server.Log(), "rejected its configuration", "127.0.0.1:"+takenPort) {
			return fmt.Errorf("the server doesn't know of it:\n%s", s.server.Log())
		}
		return nil
	})
	another := freePort(t)
	s.apply("gateway.yaml", gateway(httpListener(port), httpListener(another)))
	s.becomes("200 one /", request{url: "http://127.0.0.1:" + another, host: "web.example.com"})
}

// logged says whether a log has a line with all of these words.
func logged(log string, words ...string) bool {
	for line := range strings.Lines(log) {
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
			return true
		}
	}
	return false
}
