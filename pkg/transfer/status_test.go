package transfer

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	var content map[string]any
	if err := utilyaml.Unmarshal([]byte(text), &content); err != nil {
		t.Fatal(err)
	}
	return &unstructured.Unstructured{Object: content}
}

func TestOthersStatus(t *testing.T) {
	t.Parallel()
	ours := Controller{Name: "gateway-apiserver.dev/controller", Conditions: []string{"Accepted", "Conflicted", "Programmed", "SupportedVersion"}}
	for name, test := range map[string]struct {
		object  string
		managed bool
		want    string
	}{
		"none":        {object: `{kind: HTTPRoute}`},
		"only ours":   {object: `{kind: HTTPRoute, status: {parents: [{controllerName: gateway-apiserver.dev/controller}]}}`},
		"only theirs": {object: `{kind: HTTPRoute, status: {parents: [{controllerName: a/b}]}}`, want: `{parents: [{controllerName: a/b}]}`},
		"of a route": {
			object: `{kind: HTTPRoute, status: {parents: [{controllerName: a/b}, {controllerName: gateway-apiserver.dev/controller}, {controllerName: c/d}]}}`,
			want:   `{parents: [{controllerName: a/b}, {controllerName: c/d}]}`,
		},
		"of a policy": {
			object: `{kind: BackendTLSPolicy, status: {ancestors: [{controllerName: gateway-apiserver.dev/controller}, {controllerName: a/b}]}}`,
			want:   `{ancestors: [{controllerName: a/b}]}`,
		},
		"of a Gateway of ours": {
			object: `{kind: Gateway, status: {addresses: [{value: 10.0.0.1}], conditions: [{type: Accepted}, {type: a/Billed}, {type: gateway-apiserver.dev/Delivered}, {type: Healthy}],
				listeners: [{name: a, attachedRoutes: 1, conditions: [{type: Programmed}]}, {name: b, attachedRoutes: 2, conditions: [{type: Conflicted}, {type: a/Open}]}]}}`,
			managed: true,
			want:    `{conditions: [{type: a/Billed}, {type: Healthy}], listeners: [{name: b, conditions: [{type: a/Open}]}]}`,
		},
		"of a Gateway of others": {
			object: `{kind: Gateway, status: {addresses: [{value: 10.0.0.1}], conditions: [{type: Accepted}]}}`,
			want:   `{addresses: [{value: 10.0.0.1}], conditions: [{type: Accepted}]}`,
		},
		"of a ListenerSet that waits for a controller": {
			object: `{kind: ListenerSet, status: {conditions: [
				{type: Accepted, status: Unknown, reason: Pending, message: Waiting for controller},
				{type: Programmed, status: Unknown, reason: Pending, message: "Waiting for controller: Gateway a/b does not exist"},
				{type: a/Billed, status: Unknown, reason: Pending, message: Waiting for the bill}]}}`,
			want: `{conditions: [{type: a/Billed, status: Unknown, reason: Pending, message: Waiting for the bill}]}`,
		},
		"of a GatewayClass of ours": {
			object:  `{kind: GatewayClass, status: {supportedFeatures: [{name: Gateway}], conditions: [{type: Accepted}, {type: SupportedVersion}]}}`,
			managed: true,
		},
		"of a Namespace":                 {object: `{apiVersion: v1, kind: Namespace, status: {phase: Active}}`},
		"of a Service":                   {object: `{apiVersion: v1, kind: Service, status: {loadBalancer: {}}}`},
		"of a Service with an address":   {object: `{apiVersion: v1, kind: Service, status: {loadBalancer: {ingress: [{ip: 10.0.0.1}]}}}`, want: `{loadBalancer: {ingress: [{ip: 10.0.0.1}]}}`},
		"that is no status":              {object: `{kind: HTTPRoute, status: 7}`},
		"with entries that are no maps":  {object: `{kind: HTTPRoute, status: {parents: [7]}}`, want: `{parents: [7]}`},
		"with listeners that are no map": {object: `{kind: Gateway, status: {listeners: [7, {conditions: 7}]}}`, managed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := object(t, test.object)
			before := o.DeepCopy()
			var want map[string]any
			if err := yaml.Unmarshal([]byte(test.want), &want); err != nil {
				t.Fatal(err)
			}
			got, err := yaml.Marshal(ours.OthersStatus(o, test.managed))
			if err != nil {
				t.Fatal(err)
			}
			expected, err := yaml.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(expected), string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, o); diff != "" {
				t.Errorf("the object was changed:\n%s", diff)
			}
		})
	}
}
