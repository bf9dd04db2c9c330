package features

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/gateway-api/pkg/features"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
)

var feature = regexp.MustCompile("`([A-Z][A-Za-z0-9]+)`")

// TestSupportedFeatures holds the lists of the page against what GatewayClasses say, and against all features of upstream.
func TestSupportedFeatures(t *testing.T) {
	t.Parallel()
	claimed, unclaimed := featuresOfPage(t)
	var have, all []string
	for _, f := range status.SupportedFeatures(&graph.GatewayClassFacts{}) {
		have = append(have, string(f.Name))
	}
	for f := range features.AllFeatures {
		all = append(all, string(f.Name))
	}
	slices.Sort(all)
	if diff := cmp.Diff(have, claimed); diff != "" {
		t.Errorf("the features that are claimed, by status and by the page (-status +page):\n%s", diff)
	}
	both := slices.Concat(claimed, unclaimed)
	slices.Sort(both)
	if diff := cmp.Diff(all, both); diff != "" {
		t.Errorf("the features of package features, and both lists of the page (-upstream +page):\n%s", diff)
	}
}

// featuresOfPage returns the names in the section about features: those in the text are claimed, and those in the first
// column of the table, each with a reason beside it, are not.
func featuresOfPage(t *testing.T) (claimed, unclaimed []string) {
	t.Helper()
	inSection := false
	for i, s := range lines(t) {
		if strings.HasPrefix(s, "## ") {
			inSection = s == "## Supported features"
		}
		if !inSection {
			continue
		}
		list, text := &claimed, s
		if first, reason, isRow := strings.Cut(strings.TrimPrefix(s, "| "), " | "); strings.HasPrefix(s, "| `") {
			if !isRow || strings.Trim(reason, "| ") == "" {
				t.Errorf("%s:%d: no reason why it isn't claimed", page, i+1)
			}
			list, text = &unclaimed, first
		}
		for _, m := range feature.FindAllStringSubmatch(text, -1) {
			*list = append(*list, m[1])
		}
	}
	return claimed, unclaimed
}
