package upstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A suite is pkg/test/cel of one release, built for a channel.
type suite struct {
	release, channel string
	cases            int
	binary           string
	cmd              *exec.Cmd
	output           bytes.Buffer
}

// buildSuites builds the suites one after the other: all have the same libraries, which are compiled once that way.
func buildSuites(t *testing.T) []*suite {
	t.Helper()
	var suites []*suite
	dir := t.TempDir()
	for _, r := range releases {
		// The go command keeps the result of a test until a file changes that the test itself has looked at; what its
		// subprocesses read doesn't count.
		for _, file := range []string{"go.mod", "go.sum"} {
			if _, err := os.Stat(filepath.Join(r.name, file)); err != nil {
				t.Fatal(err)
			}
		}
		for channel, cases := range r.cases {
			s := &suite{release: r.name, channel: channel, cases: cases, binary: filepath.Join(dir, r.name+"-"+channel)}
			build := exec.CommandContext(t.Context(), "go", "test", "-C", s.release, "-mod=readonly", "-tags="+s.channel,
				"-c", "-o", s.binary, "sigs.k8s.io/gateway-api/pkg/test/cel")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("building the %s suite of %s: %v\n%s", s.channel, s.release, err, out)
			}
			suites = append(suites, s)
		}
	}
	return suites
}

// start runs the suite in the background: most of the time it waits for its client's rate limit.
func (s *suite) start(t *testing.T, kubeconfig string) {
	t.Helper()
	s.cmd = exec.CommandContext(t.Context(), s.binary, "-test.v=test2json")
	s.cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// check waits for the suite's end and compares its failures with the table.
func (s *suite) check(t *testing.T) {
	if err := s.cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	output := s.output.String()
	results := leaves(t, &s.output)
	if len(results) != s.cases {
		t.Errorf("%d cases ran, want %d\n%s", len(results), s.cases, output)
	}
	table, onPurpose := changesOf(s.release), 0
	for _, name := range slices.Sorted(maps.Keys(results)) {
		r, change := results[name], table[name]
		switch {
		case r.failed && change == nil:
			t.Errorf("%s failed, and is not in the table:\n%s", name, r.output)
		case r.failed && !strings.Contains(r.output, change.answer):
			t.Errorf("%s failed otherwise than the table says, with %q:\n%s", name, change.answer, r.output)
		case r.failed:
			onPurpose++
			t.Logf("%s failed on purpose: %s", name, change.reason)
		case change != nil:
			t.Errorf("%s passed, and is in the table", name)
		}
	}
	for name := range table {
		// The standard channel builds fewer cases.
		if results[name] == nil && s.channel == "experimental" {
			t.Errorf("%s is in the table, and does not exist", name)
		}
	}
	t.Logf("%d cases, of which %d failed on purpose", len(results), onPurpose)
}

// A result is what became of a test.
type result struct {
	failed bool
	output string
}

// leaves reads what a test wrote and returns the results of the tests that have no subtests, by name.
func leaves(t *testing.T, output io.Reader) map[string]*result {
	t.Helper()
	convert := exec.CommandContext(t.Context(), "go", "tool", "test2json")
	convert.Stdin = output
	events, err := convert.Output()
	if err != nil {
		t.Fatal(err)
	}
	results := map[string]*result{}
	var parents []string
	for lines := json.NewDecoder(bytes.NewReader(events)); lines.More(); {
		var event struct{ Action, Test, Output string }
		if err := lines.Decode(&event); err != nil {
			t.Fatal(err)
		}
		switch event.Action {
		case "run":
			results[event.Test] = &result{}
			for i, c := range event.Test {
				if c == '/' {
					parents = append(parents, event.Test[:i])
				}
			}
		case "output":
			if r := results[event.Test]; r != nil {
				r.output += event.Output
			}
		case "fail":
			if r := results[event.Test]; r != nil {
				r.failed = true
			}
		}
	}
	for _, parent := range parents {
		delete(results, parent)
	}
	return results
}
