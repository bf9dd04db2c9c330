package transfer

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// newCatalog makes a catalog of kinds given as "group/version/Kind/plural/shortname".
func newCatalog(kinds ...string) *catalog {
	c := &catalog{}
	for _, kind := range kinds {
		f := strings.Split(kind, "/")
		gv := schema.GroupVersion{Group: f[0], Version: f[1]}
		c.add(gv, metav1.APIResource{Kind: f[2], Name: f[3], SingularName: strings.ToLower(f[2]), ShortNames: f[4:], Namespaced: f[2] != "GatewayClass" && f[2] != "Namespace"})
	}
	return c
}

func gatewayCatalog(more ...string) *catalog {
	return newCatalog(append([]string{
		"/v1/Namespace/namespaces/ns", "/v1/Secret/secrets", "/v1/Event/events/ev",
		gatewayGroup + "/v1/HTTPRoute/httproutes", gatewayGroup + "/v1/Gateway/gateways/gtw", gatewayGroup + "/v1/ListenerSet/listenersets/lset",
		gatewayGroup + "/v1beta1/HTTPRoute/httproutes", gatewayGroup + "/v1beta1/Gateway/gateways/gtw",
		gatewayGroup + "/v1alpha2/BackendLBPolicy/backendlbpolicies/blbpolicy",
		gatewayXGroup + "/v1alpha1/XBackendTrafficPolicy/xbackendtrafficpolicies/xbtrafficpolicy",
		gatewayXGroup + "/v1alpha1/XListenerSet/xlistenersets/lset",
	}, more...)...)
}

func TestChoose(t *testing.T) {
	t.Parallel()
	apiServices := aggregationGroup + "/v1/APIService/apiservices"
	for name, test := range map[string]struct {
		catalog *catalog
		options ExportOptions
		want    []string
		err     string
	}{
		"standalone": {
			catalog: gatewayCatalog(), options: ExportOptions{Secrets: true},
			want: []string{"v1 Namespace", "v1 Secret", "v1 Gateway", "v1 ListenerSet", "v1alpha1 XListenerSet",
				"v1alpha1 XBackendTrafficPolicy", "v1alpha2 BackendLBPolicy", "v1 HTTPRoute"},
		},
		"cluster": {
			catalog: gatewayCatalog(apiServices), options: ExportOptions{Secrets: true},
			want: []string{"v1 Gateway", "v1 ListenerSet", "v1alpha1 XListenerSet", "v1alpha1 XBackendTrafficPolicy", "v1alpha2 BackendLBPolicy", "v1 HTTPRoute"},
		},
		"cluster with its core kinds": {
			catalog: newCatalog(apiServices, "/v1/Namespace/namespaces", "/v1/Secret/secrets"), options: ExportOptions{Core: new(true), Secrets: true},
			want: []string{"v1 Namespace", "v1 Secret"},
		},
		"our own kinds, before what refers to them": {
			catalog: newCatalog(apiServices, gatewayGroup+"/v1/Gateway/gateways/gtw", gatewayGroup+"/v1/GatewayClass/gatewayclasses/gc", ownGroup+"/v1alpha1/EnvoyFleet/envoyfleets/fleet"),
			want:    []string{"v1alpha1 EnvoyFleet", "v1 GatewayClass", "v1 Gateway"},
		},
		"nothing that the server says of nodes": {
			catalog: newCatalog(ownGroup+"/v1alpha1/EnvoyNode/envoynodes/enode", ownGroup+"/v1alpha1/EnvoyFleet/envoyfleets/fleet"),
			want:    []string{"v1alpha1 EnvoyFleet"},
		},
		"without Secrets": {
			catalog: newCatalog("/v1/Namespace/namespaces", "/v1/Secret/secrets"),
			want:    []string{"v1 Namespace"},
		},
		"versions, by any name": {
			catalog: newCatalog(gatewayGroup+"/v1/HTTPRoute/httproutes", gatewayGroup+"/v1beta1/HTTPRoute/httproutes",
				gatewayGroup+"/v1/Gateway/gateways/gtw", gatewayGroup+"/v1beta1/Gateway/gateways/gtw"),
			options: ExportOptions{Versions: map[string]string{"HTTPRoutes." + gatewayGroup: "v1beta1", "gtw": "v1beta1"}},
			want:    []string{"v1beta1 Gateway", "v1beta1 HTTPRoute"},
		},
		"a view that is asked for comes first": {
			catalog: gatewayCatalog(apiServices),
			options: ExportOptions{Versions: map[string]string{"backendlbpolicy": "v1alpha2", "xlistenerset": "v1alpha1"}},
			want: []string{"v1 Gateway", "v1alpha1 XListenerSet", "v1 ListenerSet",
				"v1alpha2 BackendLBPolicy", "v1alpha1 XBackendTrafficPolicy", "v1 HTTPRoute"},
		},
		"no such kind": {
			catalog: newCatalog(gatewayGroup+"/v1/HTTPRoute/httproutes", gatewayGroup+"/v1beta1/HTTPRoute/httproutes"),
			options: ExportOptions{Versions: map[string]string{"pod": "v1"}},
			err:     `there is no kind "pod" to export, but httproute (v1, v1beta1)`,
		},
		"no such version": {
			catalog: gatewayCatalog(), options: ExportOptions{Versions: map[string]string{"httproute": "v2"}},
			err: `HTTPRoute has no version "v2" here, but v1, v1beta1`,
		},
		"ambiguous": {
			catalog: gatewayCatalog(), options: ExportOptions{Versions: map[string]string{"lset": "v1"}},
			err: `"lset" is short for both ListenerSet and XListenerSet: say which`,
		},
		"two versions": {
			catalog: gatewayCatalog(), options: ExportOptions{Versions: map[string]string{"gtw": "v1", "gateway": "v1beta1"}},
			err: `Gateway can be exported in one version, not in both v1beta1 and v1`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chosen, err := test.catalog.choose(test.options.Versions, test.options.filter(test.catalog))
			var got []string
			for _, s := range chosen {
				got = append(got, s.Version+" "+s.Kind)
			}
			var message string
			if err != nil {
				message = err.Error()
			}
			if diff := cmp.Diff(test.want, got); diff != "" || message != test.err {
				t.Errorf("error %q; kinds (-want +got):\n%s", message, diff)
			}
		})
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	c := gatewayCatalog()
	c.unavailable = map[schema.GroupVersion]error{{Group: gatewayGroup, Version: "v1alpha3"}: errUnavailableForTest}
	for gvk, want := range map[schema.GroupVersionKind]string{
		{Group: gatewayGroup, Version: "v1", Kind: "HTTPRoute"}:       "",
		{Group: gatewayGroup, Version: "v1alpha2", Kind: "HTTPRoute"}: "the server does not have HTTPRoute in version v1alpha2, but in v1, v1beta1",
		{Group: gatewayGroup, Version: "v1alpha3", Kind: "HTTPRoute"}: "the server cannot tell what it serves in " + gatewayGroup + "/v1alpha3: down",
		{Group: gatewayGroup, Version: "v1", Kind: "Route"}:           "the server has no kind Route in " + gatewayGroup,
		{Version: "v1", Kind: "Pod"}:                                  "the server has no kind Pod in the core group",
	} {
		_, err := c.lookup(gvk)
		if got := messageOf(err); got != want {
			t.Errorf("%s: error %q, want %q", gvk, got, want)
		}
	}
	if err := c.available(gatewayGroup); err == nil {
		t.Error("a group is available of which a version is not")
	}
	if err := c.available(gatewayXGroup); err != nil {
		t.Error(err)
	}
}

const errUnavailableForTest = textError("down")

type textError string

func (e textError) Error() string { return string(e) }

func messageOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
