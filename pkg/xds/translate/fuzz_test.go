package translate

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/lint"
)

// FuzzRules builds rules from values that the schemas allow, nasty ones among them. Whatever they are, the resources
// are valid, all clusters that routes name are known, and the same facts give the same bytes.
func FuzzRules(f *testing.F) {
	for seed := range uint64(500) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		g := generator{rand.New(rand.NewPCG(seed, 0))}
		var routes []*graph.RouteFacts
		for i := range 1 + g.IntN(3) {
			name := fmt.Sprint(i)
			var route *graph.RouteFacts
			if g.maybe() {
				route = httpRoute(t, name, g.spec(g.httpRule))
			} else {
				route = grpcRoute(t, name, g.spec(g.grpcRule))
			}
			if g.IntN(8) == 0 {
				route.Rules[0].Failing = &graph.Problem{}
			}
			g.sessions(route.Rules)
			routes = append(routes, route)
		}

		facts := virtualHost(g.one("*", "*.example.com", "a.example.com"), routes...)
		facts.Key.Table.Port = int32(80 + g.IntN(2))
		if g.maybe() {
			facts.ClientCertificate = types.NamespacedName{Namespace: "ns", Name: "client"}
		}
		vh, clusters := VirtualHost(facts)
		validate(t, vh)
		checkClusters(t, vh, clusters, UnresolvedCluster)
		checkReached(t, vh)
		checkAuthorized(t, vh)
		again, _ := VirtualHost(facts)
		checkEqual(t, vh, again)

		mesh := &graph.MeshHostFacts{Key: service("color", 80), Routes: routes, TLS: g.maybe()}
		config, _ := meshHost(t, mesh)
		_, clusters, empty := MeshListeners(mesh)
		unresolved := ""
		if empty != nil {
			unresolved = empty.Cluster.GetName()
		}
		for _, c := range clusters {
			if c.Name == "tls" || c.Name == "wss" {
				t.Errorf("mesh clients would connect to %s without TLS", c)
			}
		}
		checkClusters(t, config.VirtualHosts[0], clusters, unresolved)
		again2, _ := meshHost(t, mesh)
		checkEqual(t, config, again2)
	})
}

func checkEqual(t *testing.T, a, b proto.Message) {
	t.Helper()
	first, err := proto.MarshalOptions{Deterministic: true}.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	second, err := proto.MarshalOptions{Deterministic: true}.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if string(first) != string(second) {
		t.Errorf("%v\nis not\n%v", a, b)
	}
}

// checkClusters makes sure that the clusters are exactly those that the routes use, but for that of invalid backends.
func checkClusters(t *testing.T, vh *routev3.VirtualHost, clusters []ClusterKey, unresolved string) {
	t.Helper()
	used := map[string]bool{}
	auth := func(configs map[string]*anypb.Any) {
		a := extAuthzOf(t, configs)
		used[a.GetGrpcService().GetEnvoyGrpc().GetClusterName()] = true
		used[a.GetHttpService().GetServerUri().GetCluster()] = true
	}
	for _, r := range vh.Routes {
		action := r.GetRoute()
		used[action.GetCluster()] = true
		auth(r.TypedPerFilterConfig)
		for _, w := range action.GetWeightedClusters().GetClusters() {
			used[w.Name] = true
			auth(w.TypedPerFilterConfig)
		}
		for _, m := range action.GetRequestMirrorPolicies() {
			used[m.Cluster] = true
		}
	}
	delete(used, "")
	delete(used, unresolved)
	for _, c := range clusters {
		if !used[c.String()] {
			t.Errorf("no route uses %s", c)
		}
		delete(used, c.String())
	}
	if len(used) > 0 {
		t.Errorf("unknown clusters %v", used)
	}
}

// checkReached makes sure that each route can get a request.
func checkReached(t *testing.T, vh *routev3.VirtualHost) {
	t.Helper()
	table := &lint.Snapshot{Routes: []*routev3.RouteConfiguration{{Name: "table", VirtualHosts: []*routev3.VirtualHost{vh}}}}
	for _, f := range table.Check() {
		if f.Rule == lint.UnreachableRoute {
			t.Errorf("%s in\n%v", f, vh)
		}
	}
}

// checkAuthorized makes sure that nothing is forwarded to the backend "guarded", whose filters want a server to be asked, without
// asking.
func checkAuthorized(t *testing.T, vh *routev3.VirtualHost) {
	t.Helper()
	for _, r := range vh.Routes {
		asked := extAuthzOf(t, r.TypedPerFilterConfig) != nil
		if strings.HasPrefix(r.GetRoute().GetCluster(), "ns/guarded:") && !asked {
			t.Errorf("not authorized: %v", r)
		}
		for _, w := range r.GetRoute().GetWeightedClusters().GetClusters() {
			if strings.HasPrefix(w.Name, "ns/guarded:") && !asked && extAuthzOf(t, w.TypedPerFilterConfig) == nil {
				t.Errorf("not authorized: %v", r)
			}
		}
	}
}

// generator makes rules in JSON.
type generator struct{ *rand.Rand }

// sessions adds session persistence to some rules and backends.
func (g generator) sessions(rules []graph.RuleFacts) {
	session := func() *graph.SessionFacts {
		if g.IntN(4) > 0 {
			return nil
		}
		return &graph.SessionFacts{Name: g.one("", "a", "A", "a.$|b"), Header: g.maybe(), Lifetime: time.Duration(g.IntN(2)) * time.Millisecond}
	}
	for i := range rules {
		if rules[i].Session = session(); rules[i].Session != nil {
			continue
		}
		for j := range rules[i].Backends {
			rules[i].Backends[j].Session = session()
		}
	}
}

func (g generator) maybe() bool { return g.IntN(2) == 0 }

func (g generator) one(values ...string) string { return values[g.IntN(len(values))] }

// object returns a JSON object of some of the fields. A field's name that ends in ! is always there.
func (g generator) object(fields ...string) string {
	var out []string
	for i := 0; i < len(fields); i += 2 {
		if name, always := strings.CutSuffix(fields[i], "!"); always || g.maybe() {
			out = append(out, quote(name)+":"+fields[i+1])
		}
	}
	return "{" + strings.Join(out, ",") + "}"
}

func (g generator) list(n int, item func() string) string {
	var out []string
	for range g.IntN(n + 1) {
		out = append(out, item())
	}
	return "[" + strings.Join(out, ",") + "]"
}

func quote(s string) string {
	data, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func (g generator) spec(rule func() string) string {
	rules := rule()
	for range g.IntN(3) {
		rules += "," + rule()
	}
	return g.object("hostnames", g.list(3, func() string { return quote(g.one("a.example.com", "*.example.com", "*.com")) }), "rules!", "["+rules+"]")
}

func (g generator) path() string { return g.one("/", "/a", "/a/", "/a/b", "/%20", "/:a$") }
func (g generator) name() string { return quote(g.one("a", "X-B", "x-b", "Host", "set-cookie")) }
func (g generator) value() string {
	return quote(g.one("a", "100%", "%REQ(:path)%", "a\nb", "\x00", `\1`, "ü", " "))
}
func (g generator) regex() string {
	return quote(g.one("a", "a|b", `\Qa.`, "(?i)a", "[^/]*", "^a$", `\pL`, ""))
}

func (g generator) condition() string {
	if g.maybe() {
		return g.object("name!", g.name(), "type!", `"RegularExpression"`, "value!", g.regex())
	}
	return g.object("name!", g.name(), "value!", g.value())
}

func (g generator) httpRule() string {
	path := g.object("value", quote(g.path()), "type", quote(g.one("Exact", "PathPrefix")))
	if g.IntN(4) == 0 {
		path = g.object("type!", `"RegularExpression"`, "value!", g.regex())
	}
	match := func() string {
		return g.object("path", path, "method", quote(g.one("GET", "POST")), "headers", g.list(3, g.condition), "queryParams", g.list(3, g.condition))
	}
	timeout := func() string { return quote(g.one("0s", "1ms", "1h30m", "99999h")) }
	return g.object("matches", g.list(3, match), "filters", g.filters(true), "backendRefs", g.backends(true),
		"timeouts", g.object("request", timeout(), "backendRequest", timeout()),
		"retry", g.object("codes", g.one("[500]", "[429, 503]", "[]"), "attempts", g.one("0", "1", "5000000000"), "backoff", timeout()))
}

func (g generator) grpcRule() string {
	match := func() string {
		method := g.object("service", quote(g.one("a.B", "")), "method", quote(g.one("C", "")))
		if g.maybe() {
			method = g.object("type!", `"RegularExpression"`, "service", g.regex(), "method", g.regex())
		}
		return g.object("method", method, "headers", g.list(3, g.condition))
	}
	return g.object("matches", g.list(3, match), "filters", g.filters(false), "backendRefs", g.backends(false))
}

func (g generator) backends(http bool) string {
	return g.list(3, func() string {
		fields := []string{"port!", "80", "weight", g.one("0", "1", "1000000")}
		if http && g.IntN(8) == 0 {
			filters := "[" + g.auth() + "," + strings.TrimPrefix(g.filters(false), "[")
			return g.object(append(fields, "name!", `"guarded"`, "filters!", strings.Replace(filters, ",]", "]", 1))...)
		}
		return g.object(append(fields, "name!", quote(g.one("a", "b", "h2c", "ws", "tls", "wss", "missing")), "filters", g.filters(http))...)
	})
}

func (g generator) cors() string {
	origins := g.one(`[]`, `["*"]`, `["https://*.a.example", "http://*"]`, `["https://a.example:80"]`)
	names := g.one(`[]`, `["*"]`, `["a", "X-B"]`)
	return g.object("type!", `"CORS"`, "cors!", g.object("allowOrigins", origins, "allowMethods", g.one(`["*"]`, `["GET", "PUT"]`), "allowHeaders", names,
		"exposeHeaders", names, "allowCredentials", g.one("true", "false"), "maxAge", "1"))
}

func (g generator) auth() string {
	headers := g.list(2, func() string { return quote(g.one("A", "host", "", "x\n", ":path")) })
	return g.object("type!", `"ExternalAuth"`, "externalAuth!", g.object("protocol!", quote(g.one("GRPC", "HTTP")),
		"backendRef!", `{"name":"`+g.one("auth", "missing", "h2c", "tls")+`","port":80}`, "forwardBody", g.one(`{}`, `{"maxSize":65535}`),
		"grpc", g.object("allowedHeaders", headers), "http", g.object("path", quote(g.one("", "/", "a/b", "/a/")), "allowedHeaders", headers, "allowedResponseHeaders", headers)))
}

func (g generator) modifier(kind, field string) string {
	header := func() string { return g.object("name!", g.name(), "value!", g.value()) }
	remove := func() string { return quote(g.one("a", "Host", ":path", "", "x\n")) }
	return g.object("type!", quote(kind), field+"!", g.object("set", g.list(2, header), "add", g.list(2, header), "remove", g.list(2, remove)))
}

func (g generator) filters(http bool) string {
	filters := []string{
		g.modifier("RequestHeaderModifier", "requestHeaderModifier"),
		g.modifier("ResponseHeaderModifier", "responseHeaderModifier"),
		g.object("type!", `"RequestMirror"`, "requestMirror!", g.object("backendRef!", `{"name":"`+g.one("m", "missing", "h2c", "tls")+`","port":80}`,
			"percent", g.one("0", "42", "100"), "fraction", g.one(`{"numerator":1,"denominator":3}`, `{"numerator":0}`, `{"numerator":2147483647,"denominator":2147483647}`))),
	}
	if http {
		filters = append(filters, g.cors(), g.auth())
		path := g.object("type!", `"ReplacePrefixMatch"`, "replacePrefixMatch!", quote(g.one("", "/", "/x", "x/", "a\nb")))
		if g.maybe() {
			path = g.object("type!", `"ReplaceFullPath"`, "replaceFullPath!", quote(g.one("", "/", "/x", `\1`, "/%", "a\nb")))
		}
		if g.maybe() {
			filters = append(filters, g.object("type!", `"URLRewrite"`, "urlRewrite!", g.object("hostname", `"h.example"`, "path", path)))
		} else if g.maybe() {
			filters = append(filters, g.object("type!", `"RequestRedirect"`, "requestRedirect!", g.object("hostname", `"h.example"`, "path", path,
				"scheme", quote(g.one("http", "https")), "port", g.one("80", "8080"), "statusCode", g.one("301", "302", "303", "307", "308"))))
		}
	}
	g.Shuffle(len(filters), func(i, j int) { filters[i], filters[j] = filters[j], filters[i] })
	return "[" + strings.Join(filters[:g.IntN(len(filters)+1)], ",") + "]"
}
