package dataplane_test

import (
	"fmt"
	"testing"
)

// A route that asks for default Gateways is served by each of them, as long as it is one.
func TestDefaultGateways(t *testing.T) {
	t.Parallel()
	web, other := freePort(t), freePort(t)
	defaultGateway := func(name, port, scope string) string {
		return fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: %s, namespace: default}
spec:
  gatewayClassName: gateway-apiserver
  defaultScope: %s
  addresses: [{type: IPAddress, value: 127.0.0.1}]
  listeners: [%s]
`, name, scope, httpListener(port))
	}
	asking := func(scope string) string {
		return fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: app, namespace: default}
spec:
  useDefaultGateways: %s
  hostnames: [web.example.com]
  rules: [{backendRefs: [{name: app, port: 80}]}]
`, scope)
	}
	s := play(t, map[string]string{
		"web.yaml":   defaultGateway("web", web, "All"),
		"other.yaml": defaultGateway("other", other, "All"),
		"app.yaml":   service("app", backend(t, "app")),
		"route.yaml": asking("All"),
	})
	s.run("--gateway", "default/other")
	s.answers("200 app /", at(web, "/"))
	s.answers("200 app /", at(other, "/"))

	s.apply("web.yaml", defaultGateway("web", web, "None"))
	s.becomes("404", at(web, "/"))
	s.answers("200 app /", at(other, "/"))
	s.apply("route.yaml", asking("None"))
	s.becomes("404", at(other, "/"))
}
