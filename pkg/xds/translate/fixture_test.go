package translate

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// httpRoute returns the facts of an HTTPRoute ns/name with the given spec.
func httpRoute(t testing.TB, name, spec string) *graph.RouteFacts {
	t.Helper()
	route := &gwv1.HTTPRoute{}
	route.Namespace, route.Name = "ns", name
	parse(t, spec, &route.Spec)
	facts := &graph.RouteFacts{Key: graph.Key{Kind: graph.KindHTTPRoute, Namespace: "ns", Name: name}, HTTP: route}
	for _, r := range route.Spec.Rules {
		facts.Rules = append(facts.Rules, ruleFacts(r.Name, r.BackendRefs, r.Filters))
	}
	return facts
}

// grpcRoute returns the facts of a GRPCRoute ns/name with the given spec.
func grpcRoute(t testing.TB, name, spec string) *graph.RouteFacts {
	t.Helper()
	route := &gwv1.GRPCRoute{}
	route.Namespace, route.Name = "ns", name
	parse(t, spec, &route.Spec)
	facts := &graph.RouteFacts{Key: graph.Key{Kind: graph.KindGRPCRoute, Namespace: "ns", Name: name}, GRPC: route}
	for _, r := range route.Spec.Rules {
		var backends []gwv1.HTTPBackendRef
		for _, b := range r.BackendRefs {
			backends = append(backends, gwv1.HTTPBackendRef{BackendRef: b.BackendRef, Filters: graph.HTTPFilters(b.Filters)})
		}
		facts.Rules = append(facts.Rules, ruleFacts(r.Name, backends, graph.HTTPFilters(r.Filters)))
	}
	return facts
}

// ruleFacts resolves backends by their names: "missing" doesn't exist, "h2c", "ws" and "wss" have that appProtocol, "tls"
// and "wss" a BackendTLSPolicy.
func ruleFacts(name *gwv1.SectionName, refs []gwv1.HTTPBackendRef, filters []gwv1.HTTPRouteFilter) graph.RuleFacts {
	facts := graph.RuleFacts{Name: string(deref(name, ""))}
	resolve := func(ref gwv1.BackendObjectReference, weight int32) graph.BackendFacts {
		b := graph.BackendFacts{Weight: weight, Backend: service(string(ref.Name), int32(deref(ref.Port, 80)))}
		switch ref.Name {
		case "missing":
			b.Problem = &graph.Problem{Reason: "BackendNotFound"}
		case "tls":
			b.TLS = true
		case "wss":
			b.TLS, b.AppProtocol = true, "kubernetes.io/wss"
		case "h2c", "ws":
			b.AppProtocol, b.HTTP2 = "kubernetes.io/"+string(ref.Name), ref.Name == "h2c"
		}
		return b
	}
	filtersOf := func(filters []gwv1.HTTPRouteFilter) (f graph.FilterFacts) {
		for i := range filters {
			if m := filters[i].RequestMirror; m != nil {
				f.Mirrors = append(f.Mirrors, graph.MirrorFacts{Filter: i, BackendFacts: resolve(m.BackendRef, 1)})
				continue
			}
			facts.NeedsProxy = &graph.Problem{Reason: "UnsupportedValue"}
			if a := filters[i].ExternalAuth; a != nil {
				f.ExternalAuth = &graph.ExternalAuthFacts{Filter: i, BackendFacts: resolve(a.BackendRef, 1)}
			}
		}
		return f
	}
	for _, ref := range refs {
		b := resolve(ref.BackendObjectReference, deref(ref.Weight, 1))
		if b.TLS && b.Weight > 0 {
			facts.NeedsProxy = &graph.Problem{Reason: "UnsupportedValue"}
		}
		b.Filters = filtersOf(ref.Filters)
		facts.Backends = append(facts.Backends, b)
	}
	facts.FilterFacts = filtersOf(filters)
	return facts
}

func service(name string, port int32) graph.BackendKey {
	return graph.ServiceBackend(types.NamespacedName{Namespace: "ns", Name: name}, port)
}

// gateway is the Gateway ns/gw, which is a scope of its own.
var gateway = graph.Key{Kind: graph.KindGateway, Namespace: "ns", Name: "gw"}

// virtualHost returns the facts of a virtual host of a port's HTTP listeners.
func virtualHost(domain string, routes ...*graph.RouteFacts) *graph.VirtualHostFacts {
	return &graph.VirtualHostFacts{
		Key:    graph.VirtualHostKey{Table: graph.TableKey{Scope: gateway, Port: 80}, Domain: domain},
		Routes: routes,
	}
}

// translated returns a valid virtual host and the names of its clusters.
func translated(t testing.TB, vh *graph.VirtualHostFacts) (*routev3.VirtualHost, []string) {
	t.Helper()
	out, clusters := VirtualHost(vh)
	validate(t, out)
	var names []string
	for _, c := range clusters {
		names = append(names, c.String())
	}
	return out, names
}

// parse reads YAML or JSON into a Kubernetes API type.
func parse(t testing.TB, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(text, "\t", "  ")), into); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
}

// expect compares messages, but for the metadata that say what they were made of, with protobuf JSON written as YAML.
func expect[M proto.Message](t testing.TB, got []M, want string, options ...cmp.Option) {
	t.Helper()
	var items []any
	parse(t, want, &items)
	var wanted []M
	for i := range items {
		data, err := json.Marshal(items[i])
		if err != nil {
			t.Fatal(err)
		}
		var zero M
		m := zero.ProtoReflect().New().Interface()
		if err := protojson.Unmarshal(data, m); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		wanted = append(wanted, m.(M))
	}
	if diff := cmp.Diff(wanted, got, append(options, protocmp.Transform(), protocmp.IgnoreMessages(&corev3.Metadata{}), cmpopts.EquateEmpty())...); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// validate fails the test if Envoy's own validation refuses a message, or one packed in it, or a regular expression.
func validate(t testing.TB, messages ...proto.Message) {
	t.Helper()
	for _, m := range messages {
		if err := invalid(m.ProtoReflect()); err != nil {
			t.Errorf("%T: %v\n%s", m, err, protojson.Format(m))
		}
	}
}

func invalid(m protoreflect.Message) error {
	switch v := m.Interface().(type) {
	case *anypb.Any:
		inner, err := v.UnmarshalNew()
		if err != nil {
			return err
		}
		return invalid(inner.ProtoReflect())
	case *matcherv3.RegexMatcher:
		if _, err := regexp.Compile(v.GetRegex()); err != nil {
			return err
		}
	}
	if v, ok := m.Interface().(interface{ ValidateAll() error }); ok {
		if err := v.ValidateAll(); err != nil {
			return err
		}
	}
	var err error
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap():
			if field.MapValue().Message() != nil {
				value.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
					err = invalid(v.Message())
					return err == nil
				})
			}
		case field.Message() == nil:
		case field.IsList():
			for i := 0; i < value.List().Len() && err == nil; i++ {
				err = invalid(value.List().Get(i).Message())
			}
		default:
			err = invalid(value.Message())
		}
		return err == nil
	})
	return err
}

// TestValidate makes sure that the tests' judge judges.
func TestValidate(t *testing.T) {
	t.Parallel()
	for _, m := range []proto.Message{
		&clusterv3.Cluster{},
		packed(&clusterv3.Cluster{}),
		&clusterv3.Cluster{Name: "c", TypedExtensionProtocolOptions: map[string]*anypb.Any{"x": packed(&clusterv3.Cluster{})}},
		&routev3.VirtualHost{Name: "v", Domains: []string{"*"}, Routes: []*routev3.Route{{
			Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{SafeRegex: regex("(")}},
			Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 500}},
		}}},
	} {
		if invalid(m.ProtoReflect()) == nil {
			t.Errorf("%s passes", protojson.Format(m))
		}
	}
}

// spliced returns the encoded RouteConfiguration of a table with encoded virtual hosts.
func spliced(table graph.TableKey, hosts [][]byte) []byte {
	out := TableHeader(table)
	for _, host := range hosts {
		out = append(out, TableHost(host)...)
	}
	return out
}
