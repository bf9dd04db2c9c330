package translate

import (
	"fmt"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
)

// below says whether Envoy takes a request with the given random number for one of a fraction.
func below(p *typev3.FractionalPercent, random uint64) bool {
	denominator := map[typev3.FractionalPercent_DenominatorType]uint64{
		typev3.FractionalPercent_HUNDRED: 100, typev3.FractionalPercent_TEN_THOUSAND: 10_000, typev3.FractionalPercent_MILLION: million,
	}[p.GetDenominator()]
	return p == nil || random%denominator < uint64(p.GetNumerator())
}

// sentTo returns where Envoy sends a request with a random number, whatever its path: "cluster rewritten-path>mirror,mirror", the
// host of a redirect, or a status.
func sentTo(vh *routev3.VirtualHost, random uint64) string {
	for _, r := range vh.Routes {
		if !below(r.Match.GetRuntimeFraction().GetDefaultValue(), random) {
			continue
		}
		if direct := r.GetDirectResponse(); direct != nil {
			return fmt.Sprint(direct.Status)
		}
		if redirect := r.GetRedirect(); redirect != nil {
			return "redirect " + redirect.HostRedirect
		}
		action := r.GetRoute()
		to := action.GetCluster()
		var total uint64
		for _, w := range action.GetWeightedClusters().GetClusters() {
			total += uint64(w.Weight.Value)
		}
		var end uint64
		for _, w := range action.GetWeightedClusters().GetClusters() {
			if end += uint64(w.Weight.Value); to == "" && random%total < end {
				to = w.Name
			}
		}
		var mirrors []string
		for _, m := range action.RequestMirrorPolicies {
			if below(m.RuntimeFraction.GetDefaultValue(), random) {
				mirrors = append(mirrors, m.Cluster)
			}
		}
		return strings.TrimSuffix(to+action.RegexRewrite.GetSubstitution()+">"+strings.Join(mirrors, ","), ">")
	}
	return "404"
}

// Filters that run for some of the backends only: whatever Envoy draws, each backend gets its share, and each filter its share
// of that.
func TestShares(t *testing.T) {
	t.Parallel()
	const (
		rewritten  = `filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /x}}}]`
		redirected = `filters: [{type: RequestRedirect, requestRedirect: {hostname: h}}]`
		mirror     = `{type: RequestMirror, requestMirror: {backendRef: {name: m, port: 80}`
	)
	for _, tt := range []struct {
		name, rule string
		want       map[string]int // of a million
	}{
		{
			"weights alone", `{backendRefs: [{name: a, port: 80, weight: 3}, {name: b, port: 80}]}`,
			map[string]int{"ns/a:80": 750_000, "ns/b:80": 250_000},
		},
		{
			"a rewrite for each of three", `{backendRefs: [{name: a, port: 80, ` + rewritten + `}, {name: b, port: 80}, {name: c, port: 80, weight: 2}]}`,
			map[string]int{"ns/a:80/x": 250_000, "ns/b:80": 250_000, "ns/c:80": 500_000},
		},
		{
			"a redirect for the last", `{backendRefs: [{name: a, port: 80, weight: 99}, {name: b, port: 80, ` + redirected + `}]}`,
			map[string]int{"ns/a:80": 990_000, "redirect h": 10_000},
		},
		{
			"the share of invalid backends", `{backendRefs: [{name: missing, port: 80}, {name: a, port: 80, ` + rewritten + `}, {name: missing, port: 80, weight: 2}]}`,
			map[string]int{"500": 750_000, "ns/a:80/x": 250_000},
		},
		{
			"no share", `{backendRefs: [{name: a, port: 80, ` + rewritten + `}, {name: b, port: 80, weight: 0, ` + redirected + `}]}`,
			map[string]int{"ns/a:80/x": 1_000_000},
		},
		{
			"thirds", `{backendRefs: [{name: a, port: 80, ` + rewritten + `}, {name: b, port: 80}, {name: c, port: 80}]}`,
			map[string]int{"ns/a:80/x": 333_333, "ns/b:80": 333_334, "ns/c:80": 333_333},
		},
		{
			"less than half a millionth", `{backendRefs: [{name: a, port: 80, weight: 1, ` + rewritten + `}, {name: b, port: 80, weight: 3000000}]}`,
			map[string]int{"ns/b:80": 1_000_000},
		},
		{
			"a mirror of one backend", `{backendRefs: [{name: a, port: 80, filters: [` + mirror + `}}]}, {name: b, port: 80}]}`,
			map[string]int{"ns/a:80>ns/m:80": 500_000, "ns/b:80": 500_000},
		},
		{
			"a third of a half, the first", `{backendRefs: [{name: a, port: 80, filters: [` + mirror + `, fraction: {numerator: 1, denominator: 3}}}]}, {name: b, port: 80}]}`,
			map[string]int{"ns/a:80>ns/m:80": 166_667, "ns/a:80": 333_333, "ns/b:80": 500_000},
		},
		{
			"a tenth of a half, the last", `{backendRefs: [{name: a, port: 80}, {name: b, port: 80, filters: [` + mirror + `, percent: 10}}]}]}`,
			map[string]int{"ns/a:80": 500_000, "ns/b:80>ns/m:80": 50_000, "ns/b:80": 450_000},
		},
		{
			"the rule's mirror of a rule that is apart", `{filters: [` + mirror + `, percent: 50}}], backendRefs: [{name: a, port: 80}, {name: b, port: 80, ` + rewritten + `}]}`,
			map[string]int{"ns/a:80>ns/m:80": 250_000, "ns/a:80": 250_000, "ns/b:80/x>ns/m:80": 250_000, "ns/b:80/x": 250_000},
		},
		{
			"a mirror of none", `{backendRefs: [{name: a, port: 80}, {name: b, port: 80, filters: [` + mirror + `, percent: 0}}]}]}`,
			map[string]int{"ns/a:80": 500_000, "ns/b:80": 500_000},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			vh, _ := translated(t, virtualHost("*", httpRoute(t, "h", `{rules: [`+tt.rule+`]}`)))
			const step = 11 // prime to all denominators and weights
			got := map[string]int{}
			for random := uint64(0); random < step*million; random += step * step {
				got[sentTo(vh, random)] += step
			}
			for to := range tt.want {
				if diff := got[to] - tt.want[to]; diff < -2*step || diff > 2*step {
					t.Errorf("%d to %s, want %d", got[to], to, tt.want[to])
				}
				delete(got, to)
			}
			if len(got) > 0 {
				t.Errorf("and %v", got)
			}
		})
	}
}

// What Envoy can say of one of several clusters is said there, with what the rule says of all.
func TestBackendEffects(t *testing.T) {
	t.Parallel()
	const request = `{type: RequestHeaderModifier, requestHeaderModifier: `
	for _, tt := range []struct{ name, rule, routes string }{
		{
			"headers and hosts", `{filters: [` + request + `{set: [{name: a, value: rule}]}}, {type: URLRewrite, urlRewrite: {hostname: rule.example}}],
				backendRefs: [{name: a, port: 80, filters: [` + request + `{add: [{name: a, value: backend}]}}, {type: URLRewrite, urlRewrite: {hostname: a.example}}]},
					{name: b, port: 80}]}`,
			`[{match: {prefix: /}, route: {weightedClusters: {clusters: [
				{name: "ns/a:80", weight: 1, hostRewriteLiteral: a.example, requestHeadersToAdd: [
					{header: {key: a, value: rule}, appendAction: OVERWRITE_IF_EXISTS_OR_ADD}, {header: {key: a, value: backend}}]},
				{name: "ns/b:80", weight: 1, hostRewriteLiteral: rule.example, requestHeadersToAdd: [
					{header: {key: a, value: rule}, appendAction: OVERWRITE_IF_EXISTS_OR_ADD}]}]}}}]`,
		},
		{
			"of the only backend", `{filters: [{type: URLRewrite, urlRewrite: {hostname: rule.example, path: {type: ReplaceFullPath, replaceFullPath: /r}}}],
				backendRefs: [{name: a, port: 80, filters: [` + request + `{remove: [x]}}, {type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /b}}}]}]}`,
			`[{match: {prefix: /}, requestHeadersToRemove: [x], route: {cluster: "ns/a:80", hostRewriteLiteral: rule.example,
				regexRewrite: {pattern: {regex: "^.+$"}, substitution: /b}}}]`,
		},
		{
			"a prefix that one backend wants without its end", `{matches: [{path: {value: /a}}], backendRefs: [{name: a, port: 80},
				{name: b, port: 80, filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]}]}`,
			`[{match: {pathSeparatedPrefix: /a, runtimeFraction: {defaultValue: {numerator: 500000, denominator: MILLION}}}, route: {cluster: "ns/a:80"}},
				{match: {path: /a}, route: {cluster: "ns/b:80", prefixRewrite: /}},
				{match: {prefix: /a/}, route: {cluster: "ns/b:80", prefixRewrite: /}}]`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			vh, _ := translated(t, virtualHost("*", httpRoute(t, "h", `{rules: [`+tt.rule+`]}`)))
			for _, r := range vh.Routes {
				r.Name, r.GetRoute().Timeout = "", nil
			}
			expect(t, vh.Routes, tt.routes)
		})
	}
}
