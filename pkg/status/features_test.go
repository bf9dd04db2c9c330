package status_test

import (
	"slices"
	"testing"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/features"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

func TestSupportedFeatures(t *testing.T) {
	t.Parallel()
	const maxItems = 64
	list := status.SupportedFeatures()
	if len(list) > maxItems {
		t.Errorf("%d features, the schema allows %d", len(list), maxItems)
	}
	for i, f := range list {
		if i > 0 && list[i-1].Name >= f.Name {
			t.Errorf("%s is listed after %s: want ascending order without duplicates", f.Name, list[i-1].Name)
		}
		if features.GetFeature(features.FeatureName(f.Name)).Name == "" {
			t.Errorf("%s is not a feature of the Gateway API", f.Name)
		}
	}
	for _, name := range features.SetsToNamesSet(features.GatewayCoreFeatures, features.ReferenceGrantCoreFeatures,
		features.HTTPRouteCoreFeatures, features.GRPCRouteCoreFeatures, features.BackendTLSPolicyCoreFeatures,
		features.TLSRouteCoreFeatures, features.TCPRouteExtendedFeatures, features.UDPRouteFeatures).UnsortedList() {
		if !slices.Contains(list, gwv1.SupportedFeature{Name: gwv1.FeatureName(name)}) {
			t.Errorf("%s is missing: it is core for the kinds that are served", name)
		}
	}
	for _, name := range features.SetsToNamesSet(features.MeshCoreFeatures, features.MeshExtendedFeatures).UnsortedList() {
		if slices.Contains(list, gwv1.SupportedFeature{Name: gwv1.FeatureName(name)}) {
			t.Errorf("%s is claimed, but its kind is not served", name)
		}
	}

	list[0].Name = "Changed"
	if status.SupportedFeatures()[0].Name == "Changed" {
		t.Error("callers share the slice")
	}
}
