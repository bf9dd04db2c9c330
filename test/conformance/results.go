//go:build linux

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

// outcome is what became of a test in a way; empty if it wasn't run.
type outcome string

const (
	passed  outcome = "pass"
	failed  outcome = "FAIL"
	skipped outcome = "SKIPPED"
	leftOut outcome = "left out"
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
	outcomes map[way]outcome
}

func (r *results) record(w way, test suite.ConformanceTest, o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o == "" {
		return
	}
	if r.tests == nil {
		r.tests = map[string]*result{}
	}
	if r.tests[test.ShortName] == nil {
		r.tests[test.ShortName] = &result{test, map[way]outcome{}}
	}
	r.tests[test.ShortName].outcomes[w] = o
}

// print writes a table of the tests that were run, how many of each way passed, and what was left out and why.
func (r *results) print(out io.Writer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := slices.DeleteFunc(slices.Clone(ways), func(w way) bool { return len(r.count(w)) == 0 })
	if len(run) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "TEST\tPROFILES\tFEATURES")
	for _, w := range run {
		fmt.Fprintf(table, "\t%s", strings.ToUpper(string(w)))
	}
	fmt.Fprintln(table)
	for _, name := range slices.Sorted(maps.Keys(r.tests)) {
		t := r.tests[name]
		if !t.run() {
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s", name, profilesOf(t.test), join(t.test.Features))
		for _, w := range run {
			fmt.Fprintf(table, "\t%s", t.outcomes[w])
		}
		fmt.Fprintln(table)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, w := range run {
		count := r.count(w)
		fmt.Fprintf(out, "%s (%s): %d passed, %d failed, %d skipped, %d left out.\n",
			w, w.dataPlane(), count[passed], count[failed], count[skipped], count[leftOut])
		reasons := map[string][]string{}
		for _, name := range slices.Sorted(maps.Keys(r.tests)) {
			if t := r.tests[name]; t.outcomes[w] == leftOut {
				why := w.leftOut(t.test)
				reasons[why] = append(reasons[why], name)
			}
		}
		for _, why := range slices.Sorted(maps.Keys(reasons)) {
			which := strings.Join(reasons[why], ", ")
			if n := len(reasons[why]); n > 3 {
				which = fmt.Sprintf("%d tests", n)
			}
			fmt.Fprintf(out, "  left out: %s: %s.\n", which, why)
		}
	}
	return nil
}

// run says whether a test was run in any way.
func (t *result) run() bool {
	for _, o := range t.outcomes {
		if o != leftOut {
			return true
		}
	}
	return false
}

// count says how many tests of a way have which outcome.
func (r *results) count(w way) map[outcome]int {
	counts := map[outcome]int{}
	for _, t := range r.tests {
		if o := t.outcomes[w]; o != "" {
			counts[o]++
		}
	}
	return counts
}

// profilesOf names the profiles that a test belongs to, those that have all its features, without what all those for
// gateways begin with.
func profilesOf(test suite.ConformanceTest) string {
	var names []string
	for _, p := range slices.Concat(inCluster.profiles(), mesh.profiles()) {
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
