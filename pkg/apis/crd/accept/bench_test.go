package accept_test

import (
	"fmt"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd/accept"
)

// route is a HTTPRoute with as many rules, each with a path, a header, a filter and two backends.
func route(rules int) *gatewayv1.HTTPRoute {
	r := &gatewayv1.HTTPRoute{}
	r.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "gateway", SectionName: new(gatewayv1.SectionName("https"))}}
	r.Spec.Hostnames = []gatewayv1.Hostname{"www.example.com", "*.example.org"}
	for i := range rules {
		backend := func(name string) gatewayv1.HTTPBackendRef {
			ref := gatewayv1.BackendObjectReference{Name: gatewayv1.ObjectName(name), Port: new(gatewayv1.PortNumber(8080))}
			return gatewayv1.HTTPBackendRef{BackendRef: gatewayv1.BackendRef{BackendObjectReference: ref}}
		}
		r.Spec.Rules = append(r.Spec.Rules, gatewayv1.HTTPRouteRule{
			Matches: []gatewayv1.HTTPRouteMatch{{
				Path:    &gatewayv1.HTTPPathMatch{Value: new(fmt.Sprintf("/api/v1/resources/%d", i))},
				Headers: []gatewayv1.HTTPHeaderMatch{{Name: "x-version", Value: "canary"}},
			}},
			Filters: []gatewayv1.HTTPRouteFilter{{
				Type:                  gatewayv1.HTTPRouteFilterRequestHeaderModifier,
				RequestHeaderModifier: &gatewayv1.HTTPHeaderFilter{Set: []gatewayv1.HTTPHeader{{Name: "x-tenant", Value: "one"}}},
			}},
			BackendRefs: []gatewayv1.HTTPBackendRef{backend("stable"), backend("canary")},
		})
	}
	return r
}

// BenchmarkValidate is what a valid spec costs: by its predicate, and by the libraries.
func BenchmarkValidate(b *testing.B) {
	run := func(name, version string, o *oracle, accepts func(any) bool, spec any) {
		b.Run(name+"/"+version+"/accept", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !accepts(spec) {
					b.Fatal("not accepted")
				}
			}
		})
		b.Run(name+"/"+version+"/library", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if errs := o.errors(b, spec); len(errs) > 0 {
					b.Fatal(errs)
				}
			}
		})
	}
	gvk := apis.GatewayV1.WithKind("HTTPRoute")
	o := newOracle(b, crd.Lookup(gvk))
	for _, rules := range []int{1, 16} {
		r := route(rules)
		crd.Lookup(gvk).Default(r)
		run("HTTPRoute", fmt.Sprintf("rules=%d", rules), o, accept.Spec("experimental", gvk), &r.Spec)
	}
	for _, kind := range apis.GatewayKinds {
		for _, v := range kind {
			gvk := v.GroupVersionKind
			o := newOracle(b, crd.Lookup(gvk))
			for _, spec := range seeds(b)[kind.Hub().Kind] {
				obj := v.New()
				if err := fill(obj, spec); err != nil {
					continue // of a version with other fields
				}
				crd.Lookup(gvk).Default(obj)
				if spec := specOf(obj).Addr().Interface(); len(o.errors(b, spec)) == 0 {
					run(v.Kind, v.Version, o, accept.Spec("experimental", gvk), spec)
					break
				}
			}
		}
	}
}
