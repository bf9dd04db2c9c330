package features

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"sigs.k8s.io/yaml"

	"github.com/gateway-apiserver/gateway-apiserver/test/standalone"
)

const (
	// becomesTimeout is when something that is asynchronous by nature is given up.
	becomesTimeout = 30 * time.Second
	pollInterval   = 50 * time.Millisecond
)

type runKey struct{}

// run is what a script has running.
type run struct {
	server *standalone.Server // the last one that was started
	ends   []func()
}

// end ends what still runs, and says what is wrong with the server's log.
func (r *run) end() error {
	for _, end := range r.ends {
		end()
	}
	if r.server == nil {
		return nil
	}
	return r.server.Kill()
}

func running(ts *testscript.TestScript) *run { return ts.Value(runKey{}).(*run) }

func cmdServer(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 || neg && args[0] != "logged" {
		ts.Fatalf("usage: server start [FLAG...] | stop | kill | [!] logged REGEXP")
	}
	r := running(ts)
	if args[0] == "start" {
		startServer(ts, r, args[1:])
		return
	}
	if r.server == nil {
		ts.Fatalf("no server was started")
	}
	switch args[0] {
	case "stop":
		ts.Check(r.server.Stop())
	case "kill":
		ts.Check(r.server.Kill())
	case "logged":
		want, err := regexp.Compile(args[1])
		ts.Check(err)
		logged := func() bool { return want.MatchString(r.server.Log()) }
		if neg && logged() || !neg && !poll(logged) {
			ts.Fatalf("server logged %s: is %t\n%s", want, neg, r.server.Log())
		}
	default:
		ts.Fatalf("server %s: unknown", args[0])
	}
}

// poll waits until something holds, for a while.
func poll(holds func() bool) bool {
	for deadline := time.Now().Add(becomesTimeout); !holds(); time.Sleep(pollInterval) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

func startServer(ts *testscript.TestScript, r *run, flags []string) {
	if r.server != nil && r.server.Running() {
		ts.Fatalf("a server is running")
	}
	server, err := standalone.Start(ts.MkAbs("."), flags...)
	ts.Check(err)
	r.server = server
	ts.Setenv("API", server.API)
	ts.Setenv("XDS", server.XDS)
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

func cmdKubectl(ts *testscript.TestScript, neg bool, args []string) {
	switch err := ts.Exec("kubectl", args...); {
	case err != nil && !neg:
		ts.Fatalf("kubectl %s: %v", strings.Join(args, " "), err)
	case err == nil && neg:
		ts.Fatalf("kubectl %s: did not fail", strings.Join(args, " "))
	}
}

func cmdHolds(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] holds [FLAG...] KIND/NAME FILE")
	}
	switch different := get(ts, args); {
	case different != nil && !neg:
		ts.Fatalf("%v", different)
	case different == nil && neg:
		ts.Fatalf("%s holds, and should not", args[len(args)-1])
	}
}

func cmdBecomes(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || neg {
		ts.Fatalf("usage: becomes [FLAG...] KIND/NAME FILE")
	}
	var different error
	if !poll(func() bool {
		different = get(ts, args)
		return different == nil
	}) {
		ts.Fatalf("%v", different)
	}
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

func cmdServes(ts *testscript.TestScript, neg bool, args []string) {
	subject := "--gateway"
	if len(args) > 0 && args[0] == "--mesh" {
		subject, args = args[0], args[1:]
	}
	if len(args) != 2 || neg {
		ts.Fatalf("usage: serves NAMESPACE/NAME FILE, or serves --mesh SERVICE.NAMESPACE:PORT FILE")
	}
	if err := ts.Exec("gateway-apiserver", "xds", "--server", ts.Getenv("XDS"), subject, args[0], "-o", "yaml"); err != nil {
		ts.Fatalf("gateway-apiserver xds %s %s: %v", subject, args[0], err)
	}
	ts.Check(compare(ts, args[1], ts.ReadFile("stdout")))
}

// compare returns how actual is different from what the file says.
func compare(ts *testscript.TestScript, file, actual string) error {
	var want, got any
	if err := yaml.Unmarshal([]byte(ts.ReadFile(file)), &want); err != nil {
		return fmt.Errorf("%s: %v", file, err)
	}
	if err := yaml.Unmarshal([]byte(actual), &got); err != nil {
		return fmt.Errorf("output: %v", err)
	}
	if differences := difference("", want, got); len(differences) > 0 {
		return fmt.Errorf("%s does not hold:\n%s\n\nActual:\n%s", file, strings.Join(differences, "\n"), actual)
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
