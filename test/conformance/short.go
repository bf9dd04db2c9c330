//go:build linux

package conformance

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// short is a set of tests that has each feature of any of them, and for each profile one of its core, in a few minutes. As
// long as one is missing, it takes the test with the most of those that are; of equal ones one that sends traffic, and then
// the first by name.
func short(all []suite.ConformanceTest, profiles []suite.ConformanceProfile) []suite.ConformanceTest {
	rest := slices.Clone(all)
	slices.SortFunc(rest, func(a, b suite.ConformanceTest) int {
		if statusOnly[a.ShortName] != statusOnly[b.ShortName] {
			if statusOnly[a.ShortName] {
				return 1
			}
			return -1
		}
		return strings.Compare(a.ShortName, b.ShortName)
	})
	covered := map[string]bool{}
	missing := func(test suite.ConformanceTest) int {
		n := 0
		for _, aspect := range aspects(test, profiles) {
			if !covered[aspect] {
				n++
			}
		}
		return n
	}
	var chosen []suite.ConformanceTest
	for {
		best, most := -1, 0
		for i, test := range rest {
			if n := missing(test); n > most {
				best, most = i, n
			}
		}
		if best < 0 {
			return chosen
		}
		chosen = append(chosen, rest[best])
		for _, aspect := range aspects(rest[best], profiles) {
			covered[aspect] = true
		}
	}
}

// aspects are what is to be covered of a test: its features, and the profiles to whose core it belongs, by features that
// other profiles don't have.
func aspects(test suite.ConformanceTest, profiles []suite.ConformanceProfile) []string {
	var all []string
	for _, feature := range test.Features {
		all = append(all, string(feature))
	}
	shared := sets.New(features.SupportGateway, features.SupportMesh, features.SupportReferenceGrant)
	for _, p := range profiles {
		if p.CoreFeatures.HasAll(test.Features...) && !shared.HasAll(test.Features...) {
			all = append(all, "core of "+string(p.Name))
		}
	}
	return all
}
