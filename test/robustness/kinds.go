package robustness

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	appNamespace     = "robustness"          // has Gateways and routes
	backendNamespace = "robustness-backends" // has Services that routes may refer to if a ReferenceGrant says so
	// foreign is another controller, whose part of a status is left alone.
	foreign = "robustness.test/other"
	// poison is a host name that some Envoys reject.
	poison = "poison.test"
)

// Kind is one of the kinds that clients write.
type Kind struct {
	Name, Resource, Namespace string
	Objects                   []string // the names that there can be
	Status                    bool     // there is one, and another controller writes to it, too
	// spec makes a random one that has the mark.
	spec func(r *rand.Rand, mark string) map[string]any
	// mark finds that in a spec.
	mark func(spec map[string]any) string
	// status makes one in which another controller says something.
	status func(said string) map[string]any
	// said finds that in a status.
	said func(status map[string]any) string
}

const group = "gateway.networking.k8s.io"

// kinds are those of which histories are recorded. Services and EndpointSlices belong to kube-apiserver.
var kinds = []*Kind{
	{
		Name: "Gateway", Resource: "gateways", Namespace: appNamespace, Objects: gateways, Status: true,
		spec: randomGateway,
		mark: func(spec map[string]any) string { return at[string](spec, "infrastructure", "labels", "mark") },
		status: func(said string) map[string]any {
			return map[string]any{"conditions": []any{condition(foreign, said)}}
		},
		said: func(status map[string]any) string { return message(at[[]any](status, "conditions"), foreign) },
	},
	{
		Name: "HTTPRoute", Resource: "httproutes", Namespace: appNamespace, Objects: []string{"r-0", "r-1", "r-2", "r-3", "r-4", "r-5"}, Status: true,
		spec: randomRoute,
		mark: func(spec map[string]any) string {
			hostnames := at[[]any](spec, "hostnames")
			if len(hostnames) == 0 {
				return ""
			}
			return strings.TrimSuffix(fmt.Sprint(hostnames[0]), ".test")
		},
		status: func(said string) map[string]any {
			return map[string]any{"parents": []any{map[string]any{
				"parentRef": map[string]any{"name": "gw-0"}, "controllerName": foreign, "conditions": []any{condition("Accepted", said)},
			}}}
		},
		said: func(status map[string]any) string {
			for _, parent := range at[[]any](status, "parents") {
				if p, _ := parent.(map[string]any); p["controllerName"] == foreign {
					return message(at[[]any](p, "conditions"), "Accepted")
				}
			}
			return ""
		},
	},
	{
		Name: "ReferenceGrant", Resource: "referencegrants", Namespace: backendNamespace, Objects: []string{"g-0", "g-1"},
		spec: func(r *rand.Rand, mark string) map[string]any {
			to := map[string]any{"group": "", "kind": "Service"}
			if r.IntN(2) == 0 {
				to["name"] = pick(r, services...)
			}
			return map[string]any{
				"from": []any{from("HTTPRoute", appNamespace), from("GRPCRoute", mark)},
				"to":   []any{to},
			}
		},
		mark: func(spec map[string]any) string {
			froms := at[[]any](spec, "from")
			if len(froms) < 2 {
				return ""
			}
			namespace, _ := froms[1].(map[string]any)["namespace"].(string)
			return namespace
		},
		said: func(map[string]any) string { return "" },
	},
}

// gateways are the Gateways that there can be.
var gateways = []string{"gw-0", "gw-1", "gw-2"}

// services have the same names in both namespaces.
var services = []string{"s-0", "s-1", "s-2"}

func from(kind, namespace string) map[string]any {
	return map[string]any{"group": group, "kind": kind, "namespace": namespace}
}

func condition(kind, message string) map[string]any {
	return map[string]any{
		"type": kind, "status": "True", "reason": "Said", "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z",
	}
}

// message is that of a condition.
func message(conditions []any, kind string) string {
	for _, c := range conditions {
		if c, _ := c.(map[string]any); c["type"] == kind {
			text, _ := c["message"].(string)
			return text
		}
	}
	return ""
}

// randomGateway has one to three listeners, for all or for some hosts.
func randomGateway(r *rand.Rand, mark string) map[string]any {
	listeners := []any{map[string]any{"name": "l-0", "port": 8080, "protocol": "HTTP"}}
	for n := range r.IntN(3) {
		listener := map[string]any{"name": fmt.Sprintf("l-%d", n+1), "port": 8081 + r.IntN(2), "protocol": "HTTP"}
		if r.IntN(2) == 0 {
			listener["hostname"] = fmt.Sprintf("*.l-%d.test", n+1)
		}
		listeners = append(listeners, listener)
	}
	return map[string]any{
		"gatewayClassName": "gateway-apiserver",
		"infrastructure":   map[string]any{"labels": map[string]any{"mark": mark}},
		"listeners":        listeners,
	}
}

// randomRoute leads from some Gateways to some Services.
func randomRoute(r *rand.Rand, mark string) map[string]any {
	hostnames := []any{mark + ".test"}
	switch r.IntN(5) {
	case 0:
		hostnames = append(hostnames, "a.l-1.test")
	case 1:
		hostnames = append(hostnames, poison)
	}
	parents := []any{}
	for _, name := range gateways {
		if r.IntN(3) > 0 {
			parents = append(parents, map[string]any{"name": name})
		}
	}
	rules := []any{}
	for n := range 1 + r.IntN(3) {
		backends := []any{}
		for range 1 + r.IntN(2) {
			backend := map[string]any{"name": pick(r, services...), "port": 80, "weight": 1 + r.IntN(9)}
			if r.IntN(2) == 0 {
				backend["namespace"] = backendNamespace
			}
			backends = append(backends, backend)
		}
		rules = append(rules, map[string]any{
			"matches":     []any{map[string]any{"path": map[string]any{"type": "PathPrefix", "value": fmt.Sprintf("/%d", n)}}},
			"backendRefs": backends,
		})
	}
	return map[string]any{"parentRefs": parents, "hostnames": hostnames, "rules": rules}
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// at returns what is at a path, or the zero value.
func at[T any](object map[string]any, path ...string) T {
	value, _, _ := unstructured.NestedFieldNoCopy(object, path...)
	typed, _ := value.(T)
	return typed
}

func (k *Kind) apiVersion() string { return group + "/v1" }

// path is that of all objects, or of one.
func (k *Kind) path(name ...string) string {
	return strings.Join(append([]string{"/apis", k.apiVersion(), "namespaces", k.Namespace, k.Resource}, name...), "/")
}

// manifest is what a client sends.
func (k *Kind) manifest(name string, base uint64, spec, status map[string]any) []byte {
	metadata := map[string]any{"name": name, "namespace": k.Namespace}
	if base > 0 {
		metadata["resourceVersion"] = fmt.Sprint(base)
	}
	object := map[string]any{"apiVersion": k.apiVersion(), "kind": k.Name, "metadata": metadata, "spec": spec}
	if status != nil {
		object["status"] = status
	}
	data, err := json.Marshal(object)
	if err != nil {
		panic(err) // it is made of what JSON has
	}
	return data
}

// object is what the model knows of an object that the server has sent, or stored at a version.
func (k *Kind) object(content map[string]any, version uint64) Object {
	u := unstructured.Unstructured{Object: content}
	return Object{
		UID: string(u.GetUID()), Version: version, Generation: u.GetGeneration(),
		Mark: k.mark(at[map[string]any](content, "spec")), Foreign: k.said(at[map[string]any](content, "status")),
	}
}
