package translate

import (
	"slices"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
)

func TestTimeouts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ timeouts, want string }{
		{`{}`, `timeout: 0s`},
		{`{request: 300ms}`, `timeout: 0.3s`},
		{`{request: 10s, backendRequest: 2s}`, `timeout: 10s, retryPolicy: {perTryTimeout: 2s, numRetries: 0}`},
		{`{backendRequest: 1m30s}`, `timeout: 0s, retryPolicy: {perTryTimeout: 90s, numRetries: 0}`},
		{`{request: 0s}`, `timeout: 0s, idleTimeout: 0s`},
		{`{request: 1h}`, `timeout: 3600s, idleTimeout: 3600s`},
		{`{request: 0s, backendRequest: 1h}`, `timeout: 0s, idleTimeout: 0s, retryPolicy: {perTryTimeout: 3600s, numRetries: 0}`},
		{`{backendRequest: 1h}`, `timeout: 0s, idleTimeout: 3600s, retryPolicy: {perTryTimeout: 3600s, numRetries: 0}`},
		{`{request: 10s, backendRequest: 0s}`, `timeout: 10s`},
	} {
		t.Run(tt.timeouts, func(t *testing.T) {
			t.Parallel()
			vh, _ := translated(t, virtualHost("*", httpRoute(t, "h", `{rules: [{timeouts: `+tt.timeouts+`, backendRefs: [{name: a, port: 80}]}]}`)))
			expect(t, []*routev3.RouteAction{vh.Routes[0].GetRoute()}, `[{cluster: "ns/a:80", `+tt.want+`}]`)
		})
	}
}

func TestMirrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ mirror, want string }{
		{``, ``},
		{`, percent: 42`, `, runtimeFraction: {defaultValue: {numerator: 42}}`},
		{`, fraction: {numerator: 1, denominator: 10000}`, `, runtimeFraction: {defaultValue: {numerator: 1, denominator: TEN_THOUSAND}}`},
		{`, fraction: {numerator: 5}`, `, runtimeFraction: {defaultValue: {numerator: 5}}`},
		{`, fraction: {numerator: 2, denominator: 3}`, `, runtimeFraction: {defaultValue: {numerator: 666667, denominator: MILLION}}`},
		{`, fraction: {numerator: 2147483647, denominator: 2147483647}`, `, runtimeFraction: {defaultValue: {numerator: 1000000, denominator: MILLION}}`},
	} {
		t.Run(tt.mirror, func(t *testing.T) {
			t.Parallel()
			vh, clusters := translated(t, virtualHost("*", httpRoute(t, "h", `{rules: [{backendRefs: [{name: a, port: 80}], filters: [
				{type: RequestMirror, requestMirror: {backendRef: {name: missing, port: 80}}},
				{type: RequestMirror, requestMirror: {backendRef: {name: m, port: 81}`+tt.mirror+`}},
				{type: RequestMirror, requestMirror: {backendRef: {name: h2c, port: 80}}}]}]}`)))
			expect(t, vh.Routes[0].GetRoute().RequestMirrorPolicies, `[
				{cluster: "ns/m:81", disableShadowHostSuffixAppend: true`+tt.want+`},
				{cluster: "ns/h2c:80", disableShadowHostSuffixAppend: true}]`)
			if want := []string{"ns/a:80", "ns/h2c:80", "ns/m:81"}; !slices.Equal(clusters, want) {
				t.Errorf("clusters %q", clusters)
			}
		})
	}
}

func TestMirrorOfNothing(t *testing.T) {
	t.Parallel()
	for _, some := range []string{`percent: 0`, `fraction: {numerator: 0, denominator: 7}`, `fraction: {numerator: 1, denominator: 2000001}`} {
		vh, clusters := translated(t, virtualHost("*", httpRoute(t, "h", `{rules: [{backendRefs: [{name: a, port: 80}], filters: [
			{type: RequestMirror, requestMirror: {backendRef: {name: m, port: 80}, `+some+`}}]}]}`)))
		if policies := vh.Routes[0].GetRoute().RequestMirrorPolicies; len(policies) > 0 {
			t.Errorf("%s: %v", some, policies)
		}
		if want := []string{"ns/a:80"}; !slices.Equal(clusters, want) {
			t.Errorf("%s: clusters %q", some, clusters)
		}
	}
}

func TestMirrorOfGRPC(t *testing.T) {
	t.Parallel()
	_, clusters := translated(t, virtualHost("*", grpcRoute(t, "g", `{rules: [{backendRefs: [{name: a, port: 80}], filters: [
		{type: RequestHeaderModifier, requestHeaderModifier: {remove: [x]}},
		{type: RequestMirror, requestMirror: {backendRef: {name: m, port: 80}}}]}]}`)))
	if want := []string{"ns/a:80/http2", "ns/m:80/http2"}; !slices.Equal(clusters, want) {
		t.Errorf("clusters %q", clusters)
	}
}
