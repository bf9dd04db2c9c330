package graph

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hosts describes the virtual hosts of a Gateway: "port/listener domain: routes".
func hosts(g *Graph, gateway string) []string {
	var list []string
	for _, k := range g.VirtualHosts(key(KindGateway, gateway)) {
		f := g.VirtualHost(k)
		var routes []string
		for _, r := range f.Routes {
			routes = append(routes, r.Key.Name)
		}
		domain := k.Domain
		if f.Misdirected != nil {
			domain, routes = strings.Join(f.Misdirected, " "), append(routes, "421")
		}
		list = append(list, strings.TrimSpace(fmt.Sprintf("%d/%s %s: %s", k.Table.Port, k.Table.Listener, domain, strings.Join(routes, " "))))
	}
	return list
}

func route(name, hostnames, parentRef string) string {
	return "\n---\nkind: HTTPRoute\nmetadata: {name: " + name + "}\nspec: {hostnames: [" + hostnames + "], parentRefs: [{name: gw" + parentRef + "}], rules: [{}]}"
}

func TestVirtualHosts(t *testing.T) {
	t.Parallel()
	const cert = "protocol: HTTPS, tls: {certificateRefs: [{name: a}]}"
	tests := []struct {
		name, listeners, routes string
		want                    []string
	}{
		{"no routes", "{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP, hostname: '*.example.com'}", "",
			[]string{"80/ *:", "80/ *.example.com:"}},
		{"HTTP listeners share a table", "{name: a, port: 80, protocol: HTTP, hostname: a.example.com}, {name: b, port: 80, protocol: HTTP, hostname: b.example.com}, {name: c, port: 81, protocol: HTTP}",
			route("r", "", ""), []string{"80/ a.example.com: r", "80/ b.example.com: r", "81/ *: r"}},
		{"isolation", "{name: all, port: 80, protocol: HTTP}, {name: wild, port: 80, protocol: HTTP, hostname: '*.example.com'}, {name: foo, port: 80, protocol: HTTP, hostname: foo.example.com}",
			route("all", "foo.example.com, bar.example.com, '*.example.com', '*.com', other.org", ", sectionName: all") +
				route("wild", "foo.example.com, bar.example.com, a.foo.example.com", ", sectionName: wild") +
				route("foo", "", ", sectionName: foo"),
			[]string{"80/ *:", "80/ *.com: all", "80/ *.example.com:", "80/ a.foo.example.com: wild", "80/ bar.example.com: wild",
				"80/ foo.example.com: foo", "80/ other.org: all"}},
		{"a listener that isn't served isolates nothing", "{name: all, port: 80, protocol: HTTP}, {name: foo, port: 80, protocol: HTTP, hostname: foo.example.com, allowedRoutes: {kinds: [{kind: TCPRoute}]}}",
			route("r", "foo.example.com", ""), []string{"80/ *:", "80/ foo.example.com: r"}},
		{"conflicted listeners have none", "{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}, {name: c, port: 81, protocol: HTTP}",
			route("r", "", ""), []string{"81/ *: r"}},
		{"HTTPS listeners have tables of their own", "{name: all, port: 443, " + cert + "}, {name: foo, port: 443, hostname: foo.example.com, " + cert + "}, {name: alt, port: 444, hostname: foo.example.com, " + cert + "}",
			route("r", "foo.example.com, bar.example.com", ""),
			[]string{"443/all foo.example.com: 421", "443/all *:", "443/all bar.example.com: r", "443/foo *: 421", "443/foo foo.example.com: r", "444/alt foo.example.com: r"}},
		{"misdirected requests", "{name: a, port: 443, hostname: a.example.com, " + cert + "}, {name: wild, port: 443, hostname: '*.example.com', " + cert + "}, {name: tls, port: 443, protocol: TLS, hostname: b.example.com, tls: {mode: Passthrough}}",
			"", []string{"443/a *.example.com b.example.com: 421", "443/a a.example.com:", "443/wild a.example.com b.example.com: 421", "443/wild *.example.com:"}},
		{"the oldest first", "{name: a, port: 80, protocol: HTTP}",
			route("b", "", "") + route("a", "", "") + "\n---\nkind: GRPCRoute\nmetadata: {name: z, creationTimestamp: '2020-01-01T00:00:00Z'}\nspec: {parentRefs: [{name: gw}]}" +
				"\n---\nkind: HTTPRoute\nmetadata: {name: m, creationTimestamp: '2019-01-01T00:00:00Z'}\nspec: {parentRefs: [{name: gw}]}" +
				"\n---\nkind: GRPCRoute\nmetadata: {name: a}\nspec: {parentRefs: [{name: gw}]}",
			[]string{"80/ *: a a b m z"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, ourClass)
			g.Apply(tlsSecret("default/a", keyPairs().a))
			apply(t, g, "kind: Gateway\nmetadata: {name: gw}\nspec: {gatewayClassName: ours, listeners: ["+test.listeners+"]}"+test.routes)
			if diff := cmp.Diff(test.want, hosts(g, "default/gw")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, k := range []VirtualHostKey{
				{TableKey{key(KindGateway, "default/gw"), 80, ""}, "unheard.of"}, {TableKey{key(KindGateway, "default/none"), 80, ""}, "*"},
			} {
				if f := g.VirtualHost(k); f != nil {
					t.Errorf("%v is there: %+v", k, f)
				}
			}
		})
	}
}

func TestCompareAlphabetically(t *testing.T) {
	t.Parallel()
	order := []string{"a-b/x", "a/x", "a/y", "b/a"}
	for i, a := range order {
		for j, b := range order {
			if got, want := compareAlphabetically(key(KindHTTPRoute, a), key(KindHTTPRoute, b)) < 0, i < j; got != want {
				t.Errorf("%s before %s: %v, want %v", a, b, got, want)
			}
		}
	}
}
