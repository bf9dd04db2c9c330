package features

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
	"sigs.k8s.io/gateway-api/pkg/features"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

// parameters are the fields of the EnvoyFleet of a class that its features depend on, with a class that has them.
var parameters = map[string]*graph.GatewayClassFacts{
	"spec.addresses.pool": {Fleet: &graph.EnvoyFleetFacts{Object: &fleetv1alpha1.EnvoyFleet{
		Spec: fleetv1alpha1.EnvoyFleetSpec{Addresses: &fleetv1alpha1.Addresses{Pool: []fleetv1alpha1.AddressRange{"192.0.2.1"}}},
	}}},
	"spec.provisioning": {Provisions: true},
}

// TestSupportedFeatures holds the lists of the page against what GatewayClasses and XMeshes say, and against all features of
// upstream.
func TestSupportedFeatures(t *testing.T) {
	t.Parallel()
	claimed, depending, unclaimed := featuresOfPage(t, "## Supported features")
	if diff := cmp.Diff(claimedBy(&graph.GatewayClassFacts{}), claimed); diff != "" {
		t.Errorf("the features that are claimed, by status and by the page (-status +page):\n%s", diff)
	}
	mesh, _, _ := featuresOfPage(t, "## Supported features of a mesh")
	if diff := cmp.Diff(claimedByMesh(), mesh); diff != "" {
		t.Errorf("the features that are claimed of a mesh, by status and by the page (-status +page):\n%s", diff)
	}
	for field, class := range parameters {
		want := slices.Clone(claimed)
		for name, fields := range depending {
			if slices.Contains(fields, field) {
				want = append(want, name)
			}
		}
		slices.Sort(want)
		if diff := cmp.Diff(claimedBy(class), want); diff != "" {
			t.Errorf("the features that are claimed with %s, by status and by the page (-status +page):\n%s", field, diff)
		}
	}
	var all []string
	for f := range features.AllFeatures {
		all = append(all, string(f.Name))
	}
	listed := slices.Concat(claimed, slices.Collect(maps.Keys(depending)), unclaimed)
	for _, name := range mesh {
		if !slices.Contains(claimed, name) {
			listed = append(listed, name)
		}
	}
	slices.Sort(all)
	slices.Sort(listed)
	if diff := cmp.Diff(all, listed); diff != "" {
		t.Errorf("the features of package features, and the lists of the page (-upstream +page):\n%s", diff)
	}
}

func claimedBy(class *graph.GatewayClassFacts) []string {
	var names []string
	for _, f := range status.SupportedFeatures(class) {
		names = append(names, string(f.Name))
	}
	return names
}

func claimedByMesh() []string {
	var names []string
	for _, f := range status.XMesh(&graph.XMeshFacts{Managed: true}, gwxv1alpha1.MeshStatus{}, 1, metav1.Time{}).SupportedFeatures {
		names = append(names, string(f.Name))
	}
	return names
}

var (
	feature   = regexp.MustCompile("`([A-Z][A-Za-z0-9]+)`")
	fieldName = regexp.MustCompile("`(spec[^`]+)`")
)

// featuresOfPage returns the names in a section about features: those in the text are claimed. Those in the first column of
// a table are claimed if a class has the fields beside them; or not, with a reason beside them.
func featuresOfPage(t *testing.T, section string) (claimed []string, depending map[string][]string, unclaimed []string) {
	t.Helper()
	depending = map[string][]string{}
	inSection := false
	for i, s := range lines(t) {
		if strings.HasPrefix(s, "## ") {
			inSection = s == section
		}
		if !inSection {
			continue
		}
		first, beside, _ := strings.Cut(strings.Trim(s, "| "), " | ")
		var fields []string
		for _, m := range fieldName.FindAllStringSubmatch(beside, -1) {
			fields = append(fields, m[1])
		}
		for _, m := range feature.FindAllStringSubmatch(first, -1) {
			switch {
			case !strings.HasPrefix(s, "|"):
				claimed = append(claimed, m[1])
			case len(fields) > 0:
				depending[m[1]] = fields
			case beside != "":
				unclaimed = append(unclaimed, m[1])
			default:
				t.Errorf("%s:%d: no reason why it isn't claimed", page, i+1)
			}
		}
	}
	return claimed, depending, unclaimed
}
