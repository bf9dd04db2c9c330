package router

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/stringmatch"
)

// parsed reads a RouteConfiguration in YAML.
func parsed(t testing.TB, config string) *routev3.RouteConfiguration {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	out := &routev3.RouteConfiguration{}
	if err := protojson.Unmarshal(data, out); err != nil {
		t.Fatalf("%v in:\n%s", err, config)
	}
	return out
}

func compiled(t testing.TB, config string) *Table {
	t.Helper()
	table, err := Compile(parsed(t, config), nil)
	if err != nil {
		t.Fatalf("%v in:\n%s", err, config)
	}
	return table
}

// withRoutes returns the configuration of a virtual host for all domains.
func withRoutes(routes string) string {
	return "name: table\nvirtual_hosts:\n- name: all\n  domains: ['*']\n  routes: " + routes
}

// request returns a request, "METHOD scheme://authority/path", with headers "Name: value".
func request(line string, headers ...string) *Request {
	method, rest, _ := strings.Cut(line, " ")
	scheme, rest, _ := strings.Cut(rest, "://")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	r := &Request{Method: method, Scheme: scheme, Authority: rest[:end], Path: rest[end:], Header: http.Header{"X-Forwarded-Proto": {scheme}}}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// routeName returns the name of the route that a request takes; empty if there is none.
func routeName(t *Table, r *Request) string {
	if m := t.Match(r); m != nil {
		return m.Route
	}
	return ""
}

func TestDomains(t *testing.T) {
	t.Parallel()
	const config = `
virtual_hosts:
- {name: exact, domains: [shop.example.com, shop.example.co, sshop.example.com, "192.0.2.1", "[2001:db8::1]"], routes: &r [{match: {prefix: ""}, direct_response: {status: 200}}]}
- {name: suffix, domains: ["*p.example.com"], routes: *r}
- {name: longer-suffix, domains: ["*-shop.example.com"], routes: *r}
- {name: dot-suffix, domains: ["*.example.org"], routes: *r}
- {name: prefix, domains: ["shop.example.*", "op.example.*"], routes: *r}
- {name: longer-prefix, domains: ["shop.example.n*"], routes: *r}
- {name: any, domains: ["*"], routes: *r}
`
	for _, tt := range []struct {
		authority, want, wantIgnoringPort string // the latter is the former unless given
	}{
		{"shop.example.com", "exact", ""},
		{"SHOP.Example.COM", "exact", ""},
		{"sshop.example.com", "exact", ""},
		{"shop.example.co", "exact", ""},
		{"op.example.com", "suffix", ""}, // a suffix comes before a prefix
		{"blue-shop.example.com", "longer-suffix", ""},
		{"-shop.example.com", "suffix", ""}, // a wildcard isn't empty
		{"p.example.com", "any", ""},
		{"www.example.org", "dot-suffix", ""},
		{"a.b.example.org", "dot-suffix", ""},
		{".example.org", "any", ""},
		{"example.org", "any", ""},
		{"shop.example.c", "prefix", ""},
		{"shop.example.net", "longer-prefix", ""},
		{"shop.example.n", "prefix", ""},
		{"shop.example.", "any", ""},
		{"other.test", "any", ""},
		{"shop.example.com:8080", "prefix", "exact"},
		{"shop.example.com:port", "prefix", "exact"},
		{"shop.example.com:", "prefix", "exact"},
		{"192.0.2.1:80", "any", "exact"},
		{"[2001:db8::1]", "exact", ""},
		{"[2001:DB8::1]:80", "any", "exact"},
		{"", "", ""}, // no host
	} {
		for _, ignore := range []bool{false, true} {
			want := tt.want
			if ignore && tt.wantIgnoringPort != "" {
				want = tt.wantIgnoringPort
			}
			table := compiled(t, config+fmt.Sprintf("ignore_port_in_host_matching: %t", ignore))
			got := ""
			if m := table.Match(request("GET http://" + tt.authority + "/")); m != nil {
				got = m.VirtualHost
			}
			if got != want {
				t.Errorf("%q, ignoring the port: %t: got %q, want %q", tt.authority, ignore, got, want)
			}
		}
	}
}

// With no domain but "*", the host isn't asked for.
func TestOnlyWildcard(t *testing.T) {
	t.Parallel()
	table := compiled(t, withRoutes(`[{name: it, match: {prefix: ""}, direct_response: {status: 200}}]`))
	if got := routeName(table, request("GET http:///")); got != "it" {
		t.Errorf("got %q", got)
	}
}

func TestNoVirtualHosts(t *testing.T) {
	t.Parallel()
	table := compiled(t, `name: empty`)
	if table.Match(request("GET http://a.test/")) != nil || table.Name() != "empty" {
		t.Error("a request matched in a table without virtual hosts")
	}
}

// FuzzDomains compares the domain search with one that tries every domain in the documented order.
func FuzzDomains(f *testing.F) {
	f.Add("a.b *.b a.* *", "a.b:80", true)
	f.Add("*ab *b a* ab*", "aab", false)
	f.Add("*:8 a:* [::1] *", "[::1]:8", true)
	f.Fuzz(func(t *testing.T, list, authority string, ignorePort bool) {
		d := newDomains()
		hosts := map[string]*virtualHost{}
		for _, domain := range strings.Fields(list) {
			vh := &virtualHost{name: domain}
			known := hosts[stringmatch.Lower(domain)]
			if err := d.add(domain, vh); (err != nil) != (known != nil) {
				t.Fatalf("%q in %q: %v", domain, list, err)
			}
			if known == nil {
				hosts[stringmatch.Lower(domain)] = vh
			}
		}
		if got, want := d.find(authority, ignorePort), naive(hosts, authority, ignorePort); got != want {
			t.Errorf("%q in %q: got %v, want %v", authority, list, got, want)
		}
	})
}

func naive(hosts map[string]*virtualHost, authority string, ignorePort bool) *virtualHost {
	if len(hosts) == 1 && hosts["*"] != nil {
		return hosts["*"]
	}
	if authority == "" {
		return nil
	}
	host := stringmatch.Lower(authority)
	if colon := strings.LastIndex(host, ":"); ignorePort && colon > strings.LastIndex(host, "]") {
		host = host[:colon]
	}
	if vh := hosts[host]; vh != nil && !strings.HasPrefix(host, "*") && !strings.HasSuffix(host, "*") {
		return vh
	}
	for _, matches := range []func(domain string) bool{
		func(domain string) bool {
			return strings.HasPrefix(domain, "*") && len(host) >= len(domain) && strings.HasSuffix(host, domain[1:])
		},
		func(domain string) bool {
			return !strings.HasPrefix(domain, "*") && strings.HasSuffix(domain, "*") && len(host) >= len(domain) &&
				strings.HasPrefix(host, domain[:len(domain)-1])
		},
	} {
		longest := ""
		for domain := range hosts {
			if domain != "*" && len(domain) > len(longest) && matches(domain) {
				longest = domain
			}
		}
		if longest != "" {
			return hosts[longest]
		}
	}
	return hosts["*"]
}
