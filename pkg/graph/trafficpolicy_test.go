package graph

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

// fieldsOf cuts warnings to what comes before the first colon.
func fieldsOf(warnings []string) []string {
	var fields []string
	for _, w := range warnings {
		field, _, _ := strings.Cut(w, ": ")
		fields = append(fields, field)
	}
	return fields
}

func startsWithField(p *Problem, field string) bool {
	return p != nil && strings.HasPrefix(p.Message, "sessionPersistence."+field+": ")
}

// trafficBase has Gateways that forward to Service s by a route each; gw2 mirrors to Service m too, gw3 is another
// controller's.
const trafficBase = `
kind: Service
metadata: {name: s}
spec: {ports: [{name: p, port: 80}, {name: q, port: 81}]}
---
kind: Service
metadata: {name: m}
spec: {ports: [{port: 80}]}
---
kind: Service
metadata: {name: unused}
spec: {ports: [{port: 80}]}
---
kind: Service
metadata: {name: external}
spec: {type: ExternalName, externalName: example.com}
---
kind: Gateway
metadata: {name: gw1}
spec: {gatewayClassName: ours, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
kind: Gateway
metadata: {name: gw2}
spec: {gatewayClassName: ours, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
kind: Gateway
metadata: {name: gw3}
spec: {gatewayClassName: theirs, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
kind: HTTPRoute
metadata: {name: a}
spec: {parentRefs: [{name: gw1}, {name: gw3}], rules: [{backendRefs: [{name: s, port: 80}]}]}
---
kind: GRPCRoute
metadata: {name: b}
spec:
  parentRefs: [{name: gw2}]
  rules: [{backendRefs: [{name: s, port: 81}], filters: [{type: RequestMirror, requestMirror: {backendRef: {name: m, port: 80}}}]}]
`

func trafficPolicyFacts(t *testing.T, g *Graph, spec string) *BackendTrafficPolicyFacts {
	t.Helper()
	return g.PreviewBackendTrafficPolicy(parseOne[*gwxv1alpha1.XBackendTrafficPolicy](t,
		"kind: XBackendTrafficPolicy\nmetadata: {name: p, creationTimestamp: '2025-01-02T00:00:00Z'}\nspec: "+spec))
}

func TestTrafficPolicyAncestors(t *testing.T) {
	t.Parallel()
	const older = `
kind: XBackendTrafficPolicy
metadata: {name: older, creationTimestamp: '2025-01-01T00:00:00Z'}
spec: {targetRefs: [{group: "", kind: Service, name: m}]}
---
kind: XBackendTrafficPolicy
metadata: {name: younger, creationTimestamp: '2025-01-03T00:00:00Z'}
spec: {targetRefs: [{group: "", kind: Service, name: s}]}
---
kind: XBackendTrafficPolicy
metadata: {name: aside, creationTimestamp: '2025-01-02T00:00:00Z'}
spec: {targetRefs: [{group: "", kind: Service, name: unused}]}
---
kind: XBackendTrafficPolicy
metadata: {name: invalid, creationTimestamp: '2025-01-01T00:00:00Z'}
spec: {targetRefs: [{group: "", kind: Service, name: s}], sessionPersistence: {sessionName: ''}}
`
	tests := []struct {
		name, spec string
		want       []string
	}{
		{"used by two Gateways", `{targetRefs: [{group: "", kind: Service, name: s}]}`, []string{"Gateway gw1", "Gateway gw2"}},
		{"used by none", `{targetRefs: [{group: "", kind: Service, name: other}, {group: "", kind: Service, name: external}]}`,
			[]string{"Service other TargetNotFound", "Service external TargetNotFound"}},
		{"of other kinds", `{targetRefs: [{group: core, kind: service, name: s}, {group: gateway.networking.x-k8s.io, kind: XBackend, name: s}]}`,
			[]string{"service.core s TargetNotFound", "XBackend.gateway.networking.x-k8s.io s TargetNotFound"}},
		{"an older policy, and none", `{targetRefs: [{group: "", kind: Service, name: m}, {group: "", kind: Service, name: missing}]}`,
			[]string{"Gateway gw2 Conflicted", "Service missing TargetNotFound"}},
		{"an older policy for one of two targets", `{targetRefs: [{group: "", kind: Service, name: m}, {group: "", kind: Service, name: s}]}`,
			[]string{"Gateway gw2", "Gateway gw1"}},
		{"a policy of the same age whose name comes first", `{targetRefs: [{group: "", kind: Service, name: unused}]}`,
			[]string{"Service unused Conflicted"}},
		{"an invalid session", `{targetRefs: [{group: "", kind: Service, name: s}], sessionPersistence: {sessionName: a b}}`,
			[]string{"Gateway gw1 Invalid", "Gateway gw2 Invalid"}},
		{"an invalid budget", `{targetRefs: [{group: "", kind: Service, name: unused}], retryConstraint: {budget: {percent: 101}}}`,
			[]string{"Service unused Invalid"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, a := range trafficPolicyFacts(t, graphOf(t, ourClass, trafficBase, older), test.spec).Ancestors {
				if *a.Ref.Namespace != "default" {
					t.Errorf("an ancestor in namespace %s", *a.Ref.Namespace)
				}
				group := *a.Ref.Group
				if *a.Ref.Kind == "Gateway" && group == gwv1.GroupName {
					group = ""
				}
				got = append(got, strings.TrimSpace(groupKind(group, *a.Ref.Kind)+" "+string(a.Ref.Name)+" "+reason(a.Unaccepted)))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTrafficPolicyMessages(t *testing.T) {
	t.Parallel()
	g := graphOf(t, ourClass, trafficBase, `
kind: XBackendTrafficPolicy
metadata: {name: older, creationTimestamp: '2025-01-01T00:00:00Z'}
spec: {targetRefs: [{group: "", kind: Service, name: s}]}
`)
	f := trafficPolicyFacts(t, g, `{targetRefs: [{group: core, kind: service, name: s}, {group: "", kind: Service, name: s}], retryConstraint: {budget: {interval: x}}}`)
	got := []string{f.Targets[0].Unaccepted.Message, f.Targets[1].Unaccepted.Message}
	f = trafficPolicyFacts(t, g, `{targetRefs: [{group: "", kind: Service, name: s}]}`)
	got = append(got, f.Targets[0].Unaccepted.Message)
	want := []string{
		`spec.targetRefs[0]: kind service.core is not supported; a Service has the group "" and the kind Service`,
		`spec.retryConstraint.budget.interval: "x" is not a duration`,
		"spec.targetRefs[0]: XBackendTrafficPolicy default/older, which comes before this one, already targets Service default/s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTrafficPolicyEffects(t *testing.T) {
	t.Parallel()
	s := &SessionFacts{Name: "s"}
	tests := []struct {
		name, spec string
		session    *SessionFacts
		budget     *RetryBudgetFacts
		warnings   []string
	}{
		{name: "nothing", spec: ""},
		{name: "session", spec: "sessionPersistence: {sessionName: s}", session: s, warnings: []string{"spec.sessionPersistence.sessionName"}},
		{name: "session of any name", spec: "sessionPersistence: {absoluteTimeout: 1h}", session: &SessionFacts{},
			warnings: []string{"spec.sessionPersistence.absoluteTimeout has no effect"}},
		{name: "budget", spec: "retryConstraint: {budget: {percent: 0, interval: 1m}, minRetryRate: {count: 3, interval: 1s}}",
			budget:   &RetryBudgetFacts{Policy: name("default/p"), Percent: 0, Interval: time.Minute, MinConcurrency: 3},
			warnings: []string{"spec.retryConstraint.minRetryRate", "spec.retryConstraint"}},
		{name: "budget by default", spec: "retryConstraint: {budget: {}, minRetryRate: {}}",
			budget:   &RetryBudgetFacts{Policy: name("default/p"), Percent: 20, Interval: 10 * time.Second, MinConcurrency: 10},
			warnings: []string{"spec.retryConstraint.minRetryRate", "spec.retryConstraint"}},
		{name: "an invalid part", spec: "sessionPersistence: {sessionName: s}, retryConstraint: {minRetryRate: {count: -1}}"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, ourClass, trafficBase, `
kind: XBackendTrafficPolicy
metadata: {name: p}
spec: {targetRefs: [{group: "", kind: Service, name: s}], `+test.spec+`}
`)
			for _, port := range []int32{80, 81} {
				if diff := cmp.Diff(test.budget, g.BackendPort(ServiceBackend(name("default/s"), port)).RetryBudget); diff != "" {
					t.Errorf("budget of port %d (-want +got):\n%s", port, diff)
				}
			}
			rule := g.Route(key(KindGRPCRoute, "default/b")).Rules[0]
			if diff := cmp.Diff(test.session, rule.Backends[0].Session); diff != "" {
				t.Errorf("session (-want +got):\n%s", diff)
			}
			if rule.Mirrors[0].Session != nil {
				t.Error("a mirror keeps sessions")
			}
			if diff := cmp.Diff(test.warnings, fieldsOf(g.BackendTrafficPolicy(name("default/p")).Warnings)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSessionOfRuleComesFirst: "Session persistence configuration specified in a route rule SHALL override equivalent
// configuration in BackendLBPolicy."
func TestSessionOfRuleComesFirst(t *testing.T) {
	t.Parallel()
	g := graphOf(t, ourClass, trafficBase, `
kind: XBackendTrafficPolicy
metadata: {name: p}
spec: {targetRefs: [{group: "", kind: Service, name: s}], sessionPersistence: {sessionName: policy}}
`)
	rules := g.PreviewRoute(parseOne[*gwv1.HTTPRoute](t, `
kind: HTTPRoute
metadata: {name: r}
spec:
  rules:
  - backendRefs: [{name: s, port: 80}, {name: m, port: 80}, {name: missing, port: 80}]
  - {sessionPersistence: {sessionName: rule}, backendRefs: [{name: s, port: 80}]}
`)).Rules
	var got []string
	for _, r := range rules {
		if r.Session != nil {
			got = append(got, r.Session.Name)
		}
		for _, b := range r.Backends {
			if b.Session != nil {
				got = append(got, b.Backend.String()+" "+b.Session.Name)
			}
		}
	}
	if diff := cmp.Diff([]string{"default/s:80 policy", "rule"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestMeshTimeouts: also, a mesh client may send headers that Envoys refuse.
func TestMeshTimeouts(t *testing.T) {
	t.Parallel()
	f := New().PreviewRoute(parseOne[*gwv1.HTTPRoute](t, `
kind: HTTPRoute
metadata: {name: r}
spec:
  parentRefs: [{group: "", kind: Service, name: s}]
  rules:
  - {matches: [{headers: [{name: a_b, value: c}]}], timeouts: {backendRequest: 1s}}
  - {retry: {}, timeouts: {request: 1s}}
  - {retry: {}, timeouts: {backendRequest: 0s}}
  - {retry: {}, timeouts: {backendRequest: soon}}
  - {retry: {attempts: 0}, timeouts: {backendRequest: 1s}}
  - {retry: {}, timeouts: {request: 2s, backendRequest: 1s}}
`))
	if diff := cmp.Diff([]string{"spec.rules[5].timeouts.backendRequest"}, fieldsOf(f.Warnings)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMeshRetriesAndSessions(t *testing.T) {
	t.Parallel()
	f := New().PreviewRoute(parseOne[*gwv1.HTTPRoute](t, `
kind: HTTPRoute
metadata: {name: r}
spec:
  parentRefs: [{group: "", kind: Service, name: s}]
  rules:
  - {retry: {codes: [503, 500], attempts: 5}, sessionPersistence: {}}
  - {retry: {codes: [429, 502, 504], attempts: 4}}
`))
	want := []string{"spec.rules[0].retry.codes[1] has no effect for proxyless gRPC clients", "spec.rules[0].retry.attempts",
		"spec.rules[0].sessionPersistence has no effect for proxyless gRPC clients, which keep no sessions"}
	if diff := cmp.Diff(want, fieldsOf(f.Warnings)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTrafficPolicyDirty holds how little a change dirties.
func TestTrafficPolicyDirty(t *testing.T) {
	t.Parallel()
	const policies = `
kind: XBackendTrafficPolicy
metadata: {name: first, creationTimestamp: '2025-01-01T00:00:00Z'}
spec: {targetRefs: [{group: "", kind: Service, name: s}], sessionPersistence: {sessionName: s}}
---
kind: XBackendTrafficPolicy
metadata: {name: second, creationTimestamp: '2025-01-02T00:00:00Z'}
spec: {targetRefs: [{group: "", kind: Service, name: s}, {group: "", kind: Service, name: unused}], retryConstraint: {}}
`
	first := func(spec string) func(*testing.T, *Graph) Dirty {
		return manifest("kind: XBackendTrafficPolicy\nmetadata: {name: first, creationTimestamp: '2025-01-01T00:00:00Z'}\nspec: {" + spec + "}")
	}
	tests := []struct {
		name   string
		change func(*testing.T, *Graph) Dirty
		want   []string
	}{
		{"the same", first(`targetRefs: [{group: "", kind: Service, name: s}], sessionPersistence: {sessionName: s}`),
			[]string{"status XBackendTrafficPolicy default/first"}},
		{"another session", first(`targetRefs: [{group: "", kind: Service, name: s}], sessionPersistence: {sessionName: t}`),
			[]string{"host 80/ *", "host 80/ *", "status GRPCRoute default/b", "status HTTPRoute default/a", "status XBackendTrafficPolicy default/first"}},
		{"a budget", first(`targetRefs: [{group: "", kind: Service, name: s}], sessionPersistence: {sessionName: s}, retryConstraint: {}`),
			[]string{"backend default/s:80", "backend default/s:81", "status XBackendTrafficPolicy default/first"}},
		{"gone", deletion(key(KindBackendTrafficPolicy, "default/first")),
			[]string{"backend default/s:80", "backend default/s:81", "host 80/ *", "host 80/ *", "status GRPCRoute default/b", "status HTTPRoute default/a",
				"status XBackendTrafficPolicy default/first", "status XBackendTrafficPolicy default/second"}},
		{"a challenger gone", deletion(key(KindBackendTrafficPolicy, "default/second")),
			[]string{"backend default/unused:80", "status XBackendTrafficPolicy default/second"}},
		{"a target gone", deletion(key(KindService, "default/unused")),
			[]string{"backend default/unused:80", "mesh default/unused:80", "status XBackendTrafficPolicy default/second"}},
		{"a Gateway begins to use a target", manifest("kind: HTTPRoute\nmetadata: {name: c}\nspec: {parentRefs: [{name: gw1}], rules: [{backendRefs: [{name: unused, port: 80}]}]}"),
			[]string{"host 80/ *", "status Gateway default/gw1", "status HTTPRoute default/c", "status XBackendTrafficPolicy default/second"}},
		{"a policy for what nobody forwards to", manifest("kind: XBackendTrafficPolicy\nmetadata: {name: third}\nspec: {targetRefs: [{group: \"\", kind: Service, name: external}]}"),
			[]string{"status XBackendTrafficPolicy default/third"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, ourClass, trafficBase, policies)
			if diff := cmp.Diff(slices.Sorted(slices.Values(test.want)), describe(test.change(t, g))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
