package status_test

import (
	"slices"
	"testing"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
	"sigs.k8s.io/gateway-api/pkg/features"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

func TestSupportedFeatures(t *testing.T) {
	t.Parallel()
	const maxItems = 64
	class := &graph.GatewayClassFacts{}
	list := status.SupportedFeatures(class)
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
			t.Errorf("%s is claimed of a class", name)
		}
	}

	fleet := func(spec fleetv1alpha1.EnvoyFleetSpec) *graph.EnvoyFleetFacts {
		return &graph.EnvoyFleetFacts{Object: &fleetv1alpha1.EnvoyFleet{Spec: spec}}
	}
	pool := fleet(fleetv1alpha1.EnvoyFleetSpec{Addresses: &fleetv1alpha1.Addresses{Pool: []fleetv1alpha1.AddressRange{"10.0.0.1"}}})
	for _, test := range []struct {
		class    graph.GatewayClassFacts
		feature  features.FeatureName
		supports bool
	}{
		{graph.GatewayClassFacts{}, features.SupportGatewayAddressEmpty, false},
		{graph.GatewayClassFacts{}, features.SupportGatewayInfrastructure, false},
		{graph.GatewayClassFacts{Fleet: pool}, features.SupportGatewayStaticAddresses, true},
		{graph.GatewayClassFacts{Fleet: pool}, features.SupportGatewayInfrastructure, false},
		{graph.GatewayClassFacts{Fleet: fleet(fleetv1alpha1.EnvoyFleetSpec{}), Provisions: true}, features.SupportGatewayInfrastructure, true},
		{graph.GatewayClassFacts{Fleet: fleet(fleetv1alpha1.EnvoyFleetSpec{}), Provisions: true}, features.SupportGatewayStaticAddresses, false},
	} {
		got := slices.Contains(status.SupportedFeatures(&test.class), gwv1.SupportedFeature{Name: gwv1.FeatureName(test.feature)})
		if got != test.supports {
			t.Errorf("%s is claimed: %v, of a class with %+v", test.feature, got, test.class)
		}
	}

	mesh := status.XMesh(&graph.XMeshFacts{Managed: true}, gwxv1alpha1.MeshStatus{}, 1, now).SupportedFeatures
	if len(mesh) > maxItems {
		t.Errorf("%d features of the mesh, the schema allows %d", len(mesh), maxItems)
	}
	for _, name := range features.SetsToNamesSet(features.MeshCoreFeatures, features.MeshExtendedFeatures).UnsortedList() {
		if !slices.Contains(mesh, gwv1.SupportedFeature{Name: gwv1.FeatureName(name)}) {
			t.Errorf("%s is missing among those of the mesh", name)
		}
	}
	for _, name := range features.SetsToNamesSet(features.GatewayCoreFeatures, features.GatewayExtendedFeatures).UnsortedList() {
		if slices.Contains(mesh, gwv1.SupportedFeature{Name: gwv1.FeatureName(name)}) {
			t.Errorf("%s is claimed of the mesh, and is about Gateways", name)
		}
	}

	list[0].Name = "Changed"
	if status.SupportedFeatures(class)[0].Name == "Changed" {
		t.Error("callers share the slice")
	}
}
