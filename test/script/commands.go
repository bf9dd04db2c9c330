package script

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"sigs.k8s.io/yaml"
)

const (
	// becomesTimeout is when something that is asynchronous by nature is given up.
	becomesTimeout = 30 * time.Second
	pollInterval   = 50 * time.Millisecond
)

// Commands returns the commands by name. A suite in which objects reach the server later than the answer to their write
// is asynchronous: then "holds" and "serves" wait, as "becomes" does.
func Commands(asynchronous bool) map[string]func(*testscript.TestScript, bool, []string) {
	wait := once
	if asynchronous {
		wait = Poll
	}
	return map[string]func(*testscript.TestScript, bool, []string){
		"kubectl": cmdKubectl,
		"holds":   func(ts *testscript.TestScript, neg bool, args []string) { cmdHolds(ts, neg, args, wait) },
		"becomes": cmdBecomes,
		"printed": cmdPrinted,
		"refused": cmdRefused,
		"serves":  func(ts *testscript.TestScript, neg bool, args []string) { cmdServes(ts, neg, args, wait) },
		"cert":    cmdCert,
		"fill":    cmdFill,
		"tick":    cmdTick,
		"envoy":   (&envoys{byScript: map[*testscript.TestScript]map[string]*envoy{}}).cmd,
	}
}

// Poll waits until something holds, for a while.
func Poll(holds func() bool) bool {
	for deadline := time.Now().Add(becomesTimeout); !holds(); time.Sleep(pollInterval) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

func once(holds func() bool) bool { return holds() }

func cmdKubectl(ts *testscript.TestScript, neg bool, args []string) {
	switch err := ts.Exec("kubectl", args...); {
	case err != nil && !neg:
		ts.Fatalf("kubectl %s: %v", strings.Join(args, " "), err)
	case err == nil && neg:
		ts.Fatalf("kubectl %s: did not fail", strings.Join(args, " "))
	}
}

func cmdHolds(ts *testscript.TestScript, neg bool, args []string, wait func(func() bool) bool) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] holds [FLAG...] KIND/NAME FILE")
	}
	var different error
	if !wait(func() bool {
		different = get(ts, args)
		return (different == nil) != neg
	}) {
		if neg {
			ts.Fatalf("%s holds, and should not", args[len(args)-1])
		}
		ts.Fatalf("%v", different)
	}
}

func cmdBecomes(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || neg {
		ts.Fatalf("usage: becomes [FLAG...] KIND/NAME FILE")
	}
	cmdHolds(ts, false, args, Poll)
}

// get returns how an object is different from what the file that args end with says.
func get(ts *testscript.TestScript, args []string) error {
	last := len(args) - 1
	if err := ts.Exec("kubectl", append([]string{"get", "-o", "yaml", "--show-managed-fields"}, args[:last]...)...); err != nil {
		return fmt.Errorf("kubectl get %s: %v", strings.Join(args[:last], " "), err)
	}
	return compare(ts, args[last], ts.ReadFile("stdout"))
}

func cmdPrinted(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 || neg {
		ts.Fatalf("usage: printed FILE")
	}
	ts.Check(compare(ts, args[0], ts.ReadFile("stdout")))
}

func cmdServes(ts *testscript.TestScript, neg bool, args []string, wait func(func() bool) bool) {
	if len(args) == 2 {
		args = append([]string{"--gateway"}, args...)
	}
	if len(args) < 3 || neg {
		ts.Fatalf("usage: serves NAMESPACE/NAME FILE, or serves FLAG VALUE... FILE")
	}
	subject, file := args[:len(args)-1], args[len(args)-1]
	var different error
	if !wait(func() bool {
		different = ts.Exec("gateway-apiserver", append([]string{"xds", "--server", ts.Getenv("XDS"), "-o", "yaml"}, subject...)...)
		if different == nil {
			different = compare(ts, file, ts.ReadFile("stdout"))
		}
		return different == nil
	}) {
		ts.Fatalf("gateway-apiserver xds %s: %v", strings.Join(subject, " "), different)
	}
}

// cmdRefused is for commands that must fail as all failures do: exit code 1, nothing but one line that says why.
func cmdRefused(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: refused COMMAND [ARG...]")
	}
	err := ts.Exec("gateway-apiserver", args...)
	exit := new(exec.ExitError)
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		ts.Fatalf("gateway-apiserver %s: want exit code 1, have %v", strings.Join(args, " "), err)
	}
	stdout, stderr := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	if stdout != "" || !strings.HasPrefix(stderr, "error: ") || strings.Count(stderr, "\n") != 1 {
		ts.Fatalf("gateway-apiserver %s: want one line, an error", strings.Join(args, " "))
	}
}

// compare returns how actual is different from what the file says.
func compare(ts *testscript.TestScript, file, actual string) error {
	if err := Compare(ts.ReadFile(file), actual); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// Compare returns how actual is different from what is wanted of it, as for "holds"; both are YAML.
func Compare(wanted, actual string) error {
	var want, got any
	if err := yaml.Unmarshal([]byte(wanted), &want); err != nil {
		return err
	}
	if err := yaml.Unmarshal([]byte(actual), &got); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	if differences := difference("", want, got); len(differences) > 0 {
		return fmt.Errorf("does not hold:\n%s\n\nActual:\n%s", strings.Join(differences, "\n"), actual)
	}
	return nil
}

// absent, as a wanted value, says that the actual map does not have the key.
const absent = "<absent>"

// difference lists where want does not hold of got: maps may have more keys, lists must have the same length.
func difference(path string, want, got any) []string {
	switch want := want.(type) {
	case map[string]any:
		actual, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s: want a map, have %v", path, got)}
		}
		var all []string
		for k, v := range want {
			value, has := actual[k]
			switch {
			case v == absent && has:
				all = append(all, fmt.Sprintf("%s.%s: want nothing, have %v", path, k, value))
			case v == absent:
			case !has:
				all = append(all, fmt.Sprintf("%s.%s: is missing", path, k))
			default:
				all = append(all, difference(path+"."+k, v, value)...)
			}
		}
		return all
	case []any:
		actual, ok := got.([]any)
		if !ok || len(actual) != len(want) {
			return []string{fmt.Sprintf("%s: want a list of %d, have %v", path, len(want), got)}
		}
		var all []string
		for i := range want {
			all = append(all, difference(fmt.Sprintf("%s[%d]", path, i), want[i], actual[i])...)
		}
		return all
	}
	if pattern, ok := want.(string); ok && strings.HasPrefix(pattern, "~") {
		if text, ok := got.(string); ok && regexp.MustCompile(pattern[1:]).MatchString(text) {
			return nil
		}
	}
	if fmt.Sprint(want) != fmt.Sprint(got) {
		return []string{fmt.Sprintf("%s: want %v, have %v", path, want, got)}
	}
	return nil
}

// cmdTick returns when the clock shows another second than before: times in the API have no parts of seconds, so what
// is written from now on has a time of its own.
func cmdTick(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: tick")
	}
	now := time.Now()
	time.Sleep(now.Truncate(time.Second).Add(time.Second).Sub(now))
}
