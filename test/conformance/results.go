package conformance

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// outcomes are those of all tests of this run.
var outcomes results

// results collects what became of each test in each way.
type results struct {
	mu    sync.Mutex
	tests map[string]*result // by name
}

type result struct {
	test     suite.ConformanceTest
	outcomes map[way]string
}

func (r *results) record(w way, test suite.ConformanceTest, outcome string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tests == nil {
		r.tests = map[string]*result{}
	}
	if r.tests[test.ShortName] == nil {
		r.tests[test.ShortName] = &result{test, map[way]string{}}
	}
	r.tests[test.ShortName].outcomes[w] = outcome
}

// print writes a table of the tests that were run, and how many are left out and why.
func (r *results) print(out io.Writer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.tests) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "TEST\tPROFILES\tFEATURES")
	for _, w := range ways {
		fmt.Fprintf(table, "\t%s", strings.ToUpper(string(w)))
	}
	fmt.Fprintln(table)
	for _, name := range slices.Sorted(maps.Keys(r.tests)) {
		if needsDataPlane(name) {
			continue
		}
		t := r.tests[name]
		fmt.Fprintf(table, "%s\t%s\t%s", name, profilesOf(t.test), join(t.test.Features))
		for _, w := range ways {
			fmt.Fprintf(table, "\t%s", t.outcomes[w])
		}
		fmt.Fprintln(table)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, group := range dataPlane {
		if r.tests[group.tests[0]] != nil {
			fmt.Fprintf(out, "%d tests are left to a data plane: %s.\n", len(group.tests), group.why)
		}
	}
	for _, w := range ways {
		for _, test := range slices.Sorted(maps.Keys(elsewhere[w])) {
			if r.tests[test] != nil && r.tests[test].outcomes[w] != "" {
				fmt.Fprintf(out, "%s is left out of %s: %s.\n", test, w, elsewhere[w][test])
			}
		}
	}
	return nil
}

// profilesOf names the profiles that a test belongs to, those that have all its features, without what all names begin
// with.
func profilesOf(test suite.ConformanceTest) string {
	var names []string
	for _, p := range profiles {
		if p.CoreFeatures.Union(p.ExtendedFeatures).HasAll(test.Features...) {
			names = append(names, strings.TrimPrefix(string(p.Name), "GATEWAY-"))
		}
	}
	return strings.Join(names, ",")
}

// join lists features as the suite's flags take them.
func join(names []features.FeatureName) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, ",")
}
