package dataplane_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fleet is the EnvoyFleet edge.
func fleet(spec string) string {
	return fmt.Sprintf(`
apiVersion: gateway-apiserver.dev/v1alpha1
kind: EnvoyFleet
metadata: {name: edge, namespace: default}
spec: %s
`, spec)
}

// gatewayOf is a Gateway of the EnvoyFleet edge, with listeners.
func gatewayOf(name, listeners string) string {
	return fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: %s, namespace: default}
spec:
  gatewayClassName: gateway-apiserver
  infrastructure: {parametersRef: {group: gateway-apiserver.dev, kind: EnvoyFleet, name: edge}}
  listeners: [%s]
`, name, listeners)
}

// routeTo sends the requests for a host through a Gateway to a Service.
func routeTo(gateway, host, service string) string {
	return fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %s, namespace: default}
spec:
  parentRefs: [{name: %s}]
  hostnames: [%s]
  rules: [{backendRefs: [{name: %s, port: 80}]}]
`, service, gateway, host, service)
}

// The Gateways of a fleet that merges them share a data plane, its addresses and ports.
func TestFleetMerge(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	listener := func(host string) string {
		return fmt.Sprintf(`{name: http, port: %s, protocol: HTTP, hostname: %s}`, port, host)
	}
	s := set(t, map[string]string{
		"fleet.yaml":   fleet(`{mergeGateways: true, bindAddress: 127.0.0.1}`),
		"a.yaml":       gatewayOf("a", listener("a.example.com")),
		"b.yaml":       gatewayOf("b", listener("b.example.com")),
		"one.yaml":     service("one", backend(t, "one")),
		"two.yaml":     service("two", backend(t, "two")),
		"route-a.yaml": routeTo("a", "a.example.com", "one"),
		"route-b.yaml": routeTo("b", "b.example.com", "two"),
	})
	s.run("--fleet", "default/edge")
	to := func(host string) request { return request{url: "http://127.0.0.1:" + port + "/", host: host} }
	s.answers("200 one /", to("a.example.com"))
	s.answers("200 two /", to("b.example.com"))
	s.answers("404", to("c.example.com"))

	// A route that names one of them is attached to that one only.
	s.apply("route-b.yaml", routeTo("a", "b.example.com", "two"))
	s.becomes("404", to("b.example.com"))
	s.apply("route-b.yaml", routeTo("b", "b.example.com", "two"))
	s.becomes("200 two /", to("b.example.com"))
	s.remove("a.yaml")
	s.becomes("404", to("a.example.com"))
	s.answers("200 two /", to("b.example.com"))
}

// A Gateway without addresses listens at the one that its fleet assigns.
func TestFleetAddresses(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := set(t, map[string]string{
		"fleet.yaml": fleet(`{addresses: {pool: [127.0.7.1, 127.0.7.2]}}`),
		"web.yaml":   gatewayOf("web", httpListener(port)),
		"api.yaml":   gatewayOf("api", httpListener(port)),
		"one.yaml":   service("one", backend(t, "one")),
		"two.yaml":   service("two", backend(t, "two")),
		"route.yaml": routeTo("web", "web.example.com", "one") + "---" + routeTo("api", "web.example.com", "two"),
	})
	s.run("--gateway", "default/web")
	s.run("--gateway", "default/api")
	answers := map[string]bool{}
	for _, address := range []string{"127.0.7.1", "127.0.7.2"} {
		answers[s.ask(request{url: "http://" + address + ":" + port + "/", host: "web.example.com"}).body] = true
	}
	if !answers["one /"] || !answers["two /"] {
		t.Errorf("at the addresses of the pool, there are %v", answers)
	}
	if answer, err := at(port, "/").send(t.Context()); err == nil {
		t.Errorf("an address that isn't in the pool answered %q", answer)
	}
}

// The requests of a fleet are logged as it says.
func TestFleetAccessLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	port := freePort(t)
	logTo := func(form string) string {
		return fleet(fmt.Sprintf(`{bindAddress: 127.0.0.1, accessLog: {path: %s, %s}}`, path, form))
	}
	s := play(t, map[string]string{
		"fleet.yaml": logTo(`text: "%REQ(:METHOD)% %REQ(:AUTHORITY)% %REQ(:PATH)% %RESPONSE_CODE% %UPSTREAM_CLUSTER%"`),
		"web.yaml":   gatewayOf("web", httpListener(port)),
		"one.yaml":   service("one", backend(t, "one")),
		"route.yaml": route("one", "/one", "one"),
	})
	logs := func(line string) error {
		data, err := os.ReadFile(path)
		if err == nil && !strings.Contains("\n"+string(data), "\n"+line+"\n") {
			err = fmt.Errorf("not logged: %s, but:\n%s", line, data)
		}
		return err
	}
	s.answers("200 one /one", at(port, "/one"))
	s.eventually(func() error { return logs("GET web.example.com /one 200 default/one:80") })
	s.answers("404", at(port, "/two"))
	s.eventually(func() error { return logs("GET web.example.com /two 404 -") })

	s.apply("fleet.yaml", logTo(`json: {code: "%RESPONSE_CODE%", path: "%REQ(:PATH)%"}`))
	s.eventually(func() error {
		s.answers("200 one /one/json", at(port, "/one/json"))
		return logs(`{"code":200,"path":"/one/json"}`)
	})
}
