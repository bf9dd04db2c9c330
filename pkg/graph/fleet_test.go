package graph

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
)

func TestEnvoyFleet(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		spec       string
		unaccepted string // reason, and what is in the message
		warning    string
	}{
		{spec: "{}"},
		{spec: "{nodes: [{id: 'edge-*'}, {cluster: edge, metadata: {zone: a}}]}"},
		{spec: "{nodes: [{}]}", unaccepted: `Invalid spec.nodes[0]: must set id, cluster or metadata`},
		{spec: "{nodes: [{metadata: {gateway-apiserver.dev/gateway: a/b}}]}", unaccepted: `Invalid spec.nodes[0].metadata: keys that begin with gateway-apiserver.dev/`},
		{spec: "{nodes: [{id: a}, {id: b}, {id: a}]}", warning: "spec.nodes[2] has no effect: it is the same as spec.nodes[0]"},
		{spec: "{nodes: [{cluster: 'a*b'}]}", warning: `spec.nodes[0].cluster: only a "*" at the end`},
		{spec: "{nodes: [{cluster: 'a*b*'}]}", warning: `spec.nodes[0].cluster: only a "*" at the end`},

		{spec: "{addresses: {}}", unaccepted: "Invalid spec.addresses: exactly one"},
		{spec: "{addresses: {shared: [192.0.2.1, '2001:db8::1']}}"},
		{spec: "{addresses: {shared: [192.0.2.1, 224.0.0.1]}}", unaccepted: "Invalid spec.addresses.shared[1]: 224.0.0.1 is not an address that a Gateway can be reached at"},
		{spec: "{addresses: {shared: ['2001:db8::1', '2001:DB8::1']}}", warning: "spec.addresses.shared[1] has no effect: 2001:db8::1 is there before"},
		{spec: "{addresses: {pool: [192.0.2.1, 192.0.2.16/28, 192.0.2.64-192.0.2.80, '2001:db8::/120']}}"},
		{spec: "{addresses: {pool: [192.0.2.1-]}}", unaccepted: `Invalid spec.addresses.pool[0]: 192.0.2.1- "" is no IP address`},
		{spec: "{addresses: {pool: [192.0.2.17/28]}}", unaccepted: `has bits set beyond the prefix; write 192.0.2.16/28, or 192.0.2.17 for`},
		{spec: "{addresses: {pool: [192.0.2.9-192.0.2.1]}}", unaccepted: `ends before it begins; write 192.0.2.1-192.0.2.9`},
		{spec: "{addresses: {pool: ['192.0.2.9-2001:db8::1']}}", unaccepted: `ends of two families`},
		{spec: "{addresses: {pool: [0.0.0.0/0]}}", unaccepted: `can't be reached at`},
		{spec: "{addresses: {pool: ['ff02::1-ff02::2']}}", unaccepted: `can't be reached at`},
		{spec: "{addresses: {pool: ['fe80::/64']}}", unaccepted: `can't be reached at`},
		{spec: "{addresses: {pool: ['::ffff:192.0.2.1']}}", unaccepted: `can't be reached at`},
		{spec: "{addresses: {pool: [192.0.2.0/28, 192.0.2.15-192.0.2.20]}}", warning: "spec.addresses.pool[1] has addresses of spec.addresses.pool[0]"},
		{spec: "{addresses: {pool: [203.0.113.0/24]}}", warning: "in the pool of EnvoyFleet default/another, other/third too"},
		{spec: "{mergeGateways: true, addresses: {pool: [192.0.2.1]}}"},
		{spec: "{mergeGateways: true, addresses: {pool: [192.0.2.0/30]}}", warning: "share one address"},

		{spec: "{bindAddress: 0.0.0.0}"},
		{spec: "{bindAddress: '::'}"},
		{spec: "{bindAddress: 'fe80::1%eth0'}", unaccepted: "Invalid spec.bindAddress: fe80::1%eth0 is not"},
		{spec: "{bindAddress: 224.0.0.1}", unaccepted: "Invalid spec.bindAddress"},

		{spec: "{accessLog: {path: /dev/stdout, text: '%PROTOCOL%'}}"},
		{spec: `{accessLog: {path: "a\u0000b"}}`, unaccepted: "Invalid spec.accessLog.path"},
		{spec: "{accessLog: {text: '%PROTOCOLS%'}}", unaccepted: "Invalid spec.accessLog.text: %PROTOCOLS%: Envoy has no such command operator"},
		{spec: "{accessLog: {json: {a: '%PROTOCOL%', b: '50%'}}}", unaccepted: `Invalid spec.accessLog.json[b]: "%" begins no command operator`},

		{spec: "{tracing: {openTelemetry: {service: collector, port: 4317}}}"},
		{spec: "{tracing: {openTelemetry: {service: collector, port: 4318}}}", unaccepted: "RefNotFound spec.tracing.openTelemetry.port: Service default/collector has no TCP port 4318"},
		{spec: "{tracing: {openTelemetry: {service: collector, port: 53}}}", unaccepted: "RefNotFound spec.tracing.openTelemetry.port"},
		{spec: "{tracing: {openTelemetry: {service: missing, port: 4317}}}", unaccepted: "RefNotFound spec.tracing.openTelemetry.service: Service default/missing does not exist"},
		{spec: "{tracing: {openTelemetry: {service: external, port: 4317}}}", unaccepted: "RefNotFound spec.tracing.openTelemetry.service: Service default/external is of type ExternalName"},
		{spec: "{tracing: {openTelemetry: {service: ruled, port: 4317}}}", unaccepted: "InvalidBackendTLSPolicy spec.tracing.openTelemetry.service: BackendTLSPolicy default/invalid"},
	} {
		t.Run(tc.spec, func(t *testing.T) {
			t.Parallel()
			f := fleetGraph(t).PreviewEnvoyFleet(parseOne[*fleetv1alpha1.EnvoyFleet](t, "kind: EnvoyFleet\nmetadata: {name: edge}\nspec: "+tc.spec))
			got := ""
			if f.Unaccepted != nil {
				got = f.Unaccepted.Reason + " " + f.Unaccepted.Message
			}
			if (got == "") != (tc.unaccepted == "") || !strings.Contains(got, tc.unaccepted) {
				t.Errorf("unaccepted is %q, want %q", got, tc.unaccepted)
			}
			if got := strings.Join(f.Warnings, "\n"); (got == "") != (tc.warning == "") || !strings.Contains(got, tc.warning) {
				t.Errorf("warnings are %q, want %q", got, tc.warning)
			}
			if traced := strings.Contains(tc.spec, "tracing") && tc.unaccepted == ""; traced != (f.Collector != nil) {
				t.Errorf("the collector is %+v", f.Collector)
			}
		})
	}
}

// fleetGraph has what EnvoyFleets refer to.
func fleetGraph(t *testing.T) *Graph {
	return graphOf(t, ourClass, `
kind: Service
metadata: {name: collector}
spec: {ports: [{port: 4317}, {port: 53, name: udp, protocol: UDP}]}
---
kind: Service
metadata: {name: external}
spec: {type: ExternalName, externalName: collector.example.com, ports: [{port: 4317}]}
---
kind: Service
metadata: {name: ruled}
spec: {ports: [{port: 4317}]}
---
kind: BackendTLSPolicy
metadata: {name: invalid}
spec:
  targetRefs: [{group: "", kind: Service, name: ruled}]
  validation: {hostname: collector, caCertificateRefs: [{group: "", kind: ConfigMap, name: missing}]}
---
kind: EnvoyFleet
metadata: {name: another}
spec: {addresses: {pool: [203.0.113.7]}}
---
kind: EnvoyFleet
metadata: {namespace: other, name: third}
spec: {addresses: {pool: [203.0.113.9-203.0.113.10]}}
`)
}

// TestCollector holds that Gateways are served whatever becomes of the collector, and that they hear of it.
func TestCollector(t *testing.T) {
	t.Parallel()
	g := graphOf(t, ourClass, `
kind: EnvoyFleet
metadata: {name: edge}
spec: {tracing: {openTelemetry: {service: collector, port: 4317}}}
---
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: ours
  infrastructure: {parametersRef: {group: gateway-apiserver.dev, kind: EnvoyFleet, name: edge}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
`)
	check := func(what string, d Dirty, traced bool) {
		t.Helper()
		gw, fleet := g.Gateway(name("default/gw")), g.EnvoyFleet(name("default/edge"))
		if gw.Unaccepted != nil || gw.Unprogrammed != nil {
			t.Errorf("%s: the Gateway is not served: %+v, %+v", what, gw.Unaccepted, gw.Unprogrammed)
		}
		if (gw.Fleet.Collector != nil) != traced || (fleet.Unaccepted == nil) != traced {
			t.Errorf("%s: collector %+v, unaccepted %+v", what, gw.Fleet.Collector, fleet.Unaccepted)
		}
		for _, key := range []Key{{KindGateway, "default", "gw"}, {KindEnvoyFleet, "default", "edge"}} {
			if _, ok := d.Statuses[key]; !ok {
				t.Errorf("%s: %s is not dirty", what, key)
			}
		}
		if _, ok := d.Scopes[Key{KindGateway, "default", "gw"}]; !ok {
			t.Errorf("%s: the scope is not dirty", what)
		}
	}
	service := parse(t, "kind: Service\nmetadata: {name: collector}\nspec: {ports: [{port: 4317}]}")[0]
	check("made", g.Apply(service), true)
	policy := parse(t, `
kind: BackendTLSPolicy
metadata: {name: p}
spec:
  targetRefs: [{group: "", kind: Service, name: collector}]
  validation: {hostname: collector, caCertificateRefs: [{group: "", kind: ConfigMap, name: missing}]}
`)[0]
	check("to be connected to by TLS that can't be", g.Apply(policy), false)
	check("without that", g.Delete(Key{KindBackendTLSPolicy, "default", "p"}), true)
	check("gone", g.Delete(Key{KindService, "default", "collector"}), false)
}

// TestFleetNodes holds that what is wrong with a fleet doesn't change whose the nodes are.
func TestFleetNodes(t *testing.T) {
	t.Parallel()
	g := graphOf(t, ourClass, `
kind: EnvoyFleet
metadata: {name: edge}
spec: {mergeGateways: true, nodes: [{id: a}]}
---
kind: Gateway
metadata: {name: b}
spec:
  gatewayClassName: ours
  infrastructure: {parametersRef: {group: gateway-apiserver.dev, kind: EnvoyFleet, name: edge}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
kind: Gateway
metadata: {name: theirs}
spec:
  gatewayClassName: theirs
  infrastructure: {parametersRef: {group: gateway-apiserver.dev, kind: EnvoyFleet, name: edge}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
`)
	want := &FleetNodesFacts{Selectors: []fleetv1alpha1.NodeSelector{{ID: new("a")}}, Merged: true, Gateways: []types.NamespacedName{name("default/b")}}
	if diff := cmp.Diff(want, g.FleetNodes(name("default/edge"))); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	g.Apply(parse(t, "kind: EnvoyFleet\nmetadata: {name: edge}\nspec: {mergeGateways: true, nodes: [{id: a}], bindAddress: nowhere}")[0])
	if diff := cmp.Diff(want, g.FleetNodes(name("default/edge"))); diff != "" {
		t.Errorf("nodes of an invalid fleet (-want +got):\n%s", diff)
	}
	gw := g.Gateway(name("default/b"))
	if reason(gw.Unaccepted) != "InvalidParameters" || gw.Scope.Kind != KindEnvoyFleet {
		t.Errorf("a Gateway of an invalid fleet: unaccepted %+v, scope %s", gw.Unaccepted, gw.Scope)
	}
	if f := g.EnvoyFleet(name("default/edge")); f.Gateways != 1 {
		t.Errorf("%d Gateways are counted, want 1: a Gateway of another controller is not served", f.Gateways)
	}
	if f := g.FleetNodes(name("default/missing")); f != nil {
		t.Errorf("a missing fleet has nodes: %+v", f)
	}
}

func TestBadFormat(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		"":            "",
		"no operator": "",
		"100%% of":    "",
		"[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESP(X-A):10%": "",
		"%START_TIME(%Y/%m/%dT%H:%M:%S%z %s)%": "",
		"%DYNAMIC_METADATA(envoy.lb:a:b)%":     "",
		"%GRPC_STATUS(NUMBER)% %GRPC_STATUS%":  "",
		"%":                                    "begins no command operator",
		"%protocol%":                           "begins no command operator",
		"%PROTOCOL":                            "begins no command operator",
		"%REQ(A%":                              "begins no command operator",
		"%REQ(A):x%":                           "begins no command operator",
		"%NOTHING%":                            "no such command operator",
		"%METADATA(ROUTE:a)%":                  "without an extension",
		"%PROTOCOL(x)%":                        "takes no arguments",
		"%PROTOCOL:3%":                         "takes no length",
		"%REQ%":                                "needs arguments",
		"%REQ(a b)%":                           `"a b" is no name of a header`,
		"%REQ(A?B?C)%":                         "at most one alternative header",
		"%START_TIME(%n)%":                     "no line breaks",
		"%GRPC_STATUS(WORDS)%":                 "use CAMEL_STRING",
		"ok %PROTOCOL% then %WRONG% and %PROTOCOL%": "%WRONG%",
	} {
		if got := badFormat(format); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("badFormat(%q) is %q, want %q", format, got, want)
		}
	}
}
