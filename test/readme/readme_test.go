// Package readme follows the sections of README.md that need no cluster word by word, as somebody does who is new: "Quick start",
// and from there "Fleets of Envoys". It opens another terminal when a program keeps the one that it has, and stops programs when
// the text says so. What is different: programs listen on free ports, and the Envoy is a test data plane.
//
// The section "In a cluster" is followed by test/cluster/readme.
package readme

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/test/standalone"
)

const repository = "../.."

// patience is when something that is waited for is given up.
const patience = 60 * time.Second

func TestMain(m *testing.M) { standalone.Main(m) }

// A claim is what the README says of a block, which it is found by.
type claim struct {
	of string // a command in it
	// shows are regular expressions for lines that the block prints.
	shows []string
	// then is what the text after it says, in other commands.
	then func(r *reader)
}

var claims = []claim{
	{of: "make run"},
	{of: "kubectl get gateways", shows: []string{`^shop +web .*True`}},
	{of: "route.yaml", shows: []string{`message: Attached to listener "http"`}},
	{of: "xds --gateway shop/web", shows: []string{`shop\.example\.com .*/store .*shop/store:80`, `^shop/store:80 .*127\.0\.0\.1:9000`}},
	{of: "bootstrap --gateway shop/web > envoy.yaml", then: func(r *reader) {
		r.shows("bin/gateway-apiserver fleet", `^shop/web +gateway/shop/web .* current `)
	}},
	{of: "kind: EnvoyFleet", shows: []string{`^envoyfleet\S*/edge .*`, `^gateway\S*/web .* 127\.0\.0\.10 +True`}},
	{of: "--service-node edge-1", shows: []string{`^shop/web:\d+ +127\.0\.0\.10 `, `shop\.example\.com .*/store .*shop/store:80`}, then: func(r *reader) {
		r.shows("bin/gateway-apiserver fleet", `^edge-1 +gateway/shop/web .* current `)
		r.refused("bin/gateway-apiserver xds --gateway shop/web", "refuses this node")
	}},
	{of: "--xds-tls"},
	{of: "xds-cert --gateway shop/web", then: func(r *reader) {
		r.refused("bin/gateway-apiserver xds --gateway shop/web", "If it speaks TLS")
		r.shows("KUBECONFIG=.gateway-apiserver/admin.kubeconfig bin/gateway-apiserver fleet", `^edge-1 +gateway/shop/web .* current .*spiffe://gateway-apiserver\.dev/gateway/shop/web`)
	}},
	{of: "--for=condition=gateway-apiserver.dev/Delivered", shows: []string{
		`^NODE +SERVES +VERSION +STATE +SINCE +IDENTITY`, `^edge-1 +gateway/shop/web .* current `, `^NAME +SCOPE `, `^edge-1 +gateway/shop/web +true `, `/web condition met$`,
	}},
}

func TestStandalone(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	open := slices.Clone(claims)
	for _, s := range read(t, "Quick start", "Fleets of Envoys") {
		i := slices.IndexFunc(open, func(c claim) bool { return strings.Contains(s.commands, c.of) })
		if i < 0 {
			t.Fatalf("nothing is known of what this should show:\n%s", s.commands)
		}
		r.follow(s, open[i])
		open = slices.Delete(open, i, i+1)
	}
	for _, c := range open {
		t.Errorf("README.md has no block with %s", c.of)
	}
}

// step is a block of commands, and the text before it.
type step struct{ text, commands string }

var block = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// read returns the steps of sections.
func read(t *testing.T, sections ...string) (steps []step) {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, title := range sections {
		_, section, found := strings.Cut(string(readme), "\n## "+title+"\n")
		if !found {
			t.Fatalf("README.md has no section %q", title)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		end := 0
		for _, at := range block.FindAllStringSubmatchIndex(section, -1) {
			steps = append(steps, step{text: section[end:at[0]], commands: section[at[2]:at[3]]})
			end = at[1]
		}
	}
	return steps
}

// reader follows the README in a folder that is as a clone after "make build".
type reader struct {
	t       *testing.T
	dir     string
	path    string // of programs
	admin   string // the address of the Envoy's administration interface
	exports string // what has been exported in the terminal
	// running are the programs that go on, by what the README calls them; terminal is the one that has the terminal.
	running  map[string]*program
	terminal *program
}

func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{t: t, dir: t.TempDir(), admin: freeAddress(t), running: map[string]*program{}}
	programs := filepath.Dir(standalone.BuildKubectl(t))
	envoy := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", filepath.Join(programs, "envoy"), "../dataplane/cmd/testdataplane")
	envoy.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := envoy.CombinedOutput(); err != nil {
		t.Fatalf("building a data plane: %v\n%s", err, out)
	}
	r.path = programs + string(filepath.ListSeparator) + os.Getenv("PATH")
	makefile, err := filepath.Abs(filepath.Join(repository, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	// What the Gateway listens at is as fixed as the server's ports.
	_, port, _ := net.SplitHostPort(freeAddress(t))
	artifacts := filepath.Join(r.dir, "artifacts")
	if err := errors.Join(
		os.CopyFS(artifacts, os.DirFS(filepath.Join(repository, "artifacts"))),
		replace(filepath.Join(artifacts, "examples", "quickstart", "shop.yaml"), "port: 8080", "port: "+port),
		os.Symlink(makefile, filepath.Join(r.dir, "Makefile")),
		os.Mkdir(filepath.Join(r.dir, "bin"), 0o700),
		r.install(""),
	); err != nil {
		t.Fatal(err)
	}
	return r
}

// install makes bin/gateway-apiserver, which adds to commands where programs listen.
func (r *reader) install(xds string) error {
	return os.WriteFile(filepath.Join(r.dir, "bin", "gateway-apiserver"), fmt.Appendf(nil, `#!/bin/sh
case $1 in
standalone) set -- "$@" --listen=127.0.0.1:0 --xds-listen=127.0.0.1:0 ;;
xds) set -- "$@" --server=%[1]s ;;
bootstrap) set -- "$@" --xds-server=%[1]s --admin-address=%[2]s ;;
esac
exec gateway-apiserver "$@"
`, xds, r.admin), 0o700)
}

var (
	// stops is how the README says that a program is to be stopped.
	stops = regexp.MustCompile(`(?i)\bstop\s+the\s+(Envoy|server)(?:\s+and\s+the\s+(Envoy|server))?`)
	// goesOn is a last command that doesn't end by itself.
	goesOn = regexp.MustCompile(`(?m)^(?:(envoy)|make run|bin/gateway-apiserver standalone)\b.*\n\z`)
	ready  = regexp.MustCompile(`gateway-apiserver is ready: API on \S+, xDS on (\S+)\.\n`)
)

// follow does what the text before a block says, runs the block, and looks for what is claimed of it.
func (r *reader) follow(s step, c claim) {
	r.t.Helper()
	for _, said := range stops.FindAllStringSubmatch(s.text, -1) {
		for _, name := range said[1:] {
			if name != "" {
				r.stop(name)
			}
		}
	}
	if r.terminal != nil {
		r.terminal, r.exports = nil, "" // another one
	}
	last := goesOn.FindStringSubmatchIndex(s.commands)
	if last == nil {
		r.check(s.commands, c)
		for line := range strings.Lines(s.commands) {
			if strings.HasPrefix(line, "export ") {
				r.exports += line
			}
		}
		return
	}
	before, command := s.commands[:last[0]], s.commands[last[0]:]
	r.check(before, c)
	if last[2] >= 0 {
		r.terminal = r.start("Envoy", command)
		r.eventually(func() error { return live(r.admin) })
	} else {
		// What make would build is there.
		r.terminal = r.start("server", strings.Replace(command, "make run", "make --old-file=build run", 1))
		r.eventually(func() error {
			found := ready.FindStringSubmatch(r.terminal.String())
			if found == nil {
				return errors.New("it is not ready")
			}
			return r.install(found[1])
		})
	}
	if c.then != nil {
		c.then(r)
	}
}

// check runs commands, and looks for what is claimed of them.
func (r *reader) check(commands string, c claim) {
	r.t.Helper()
	out, err := r.run(commands)
	if err == nil {
		err = c.holds(out)
	}
	if err != nil {
		r.fatal(fmt.Errorf("%s\n%w:\n%s", commands, err, out))
	}
}

// holds returns an error unless text has the lines.
func (c claim) holds(text string) error {
	for _, line := range c.shows {
		if !regexp.MustCompile("(?m)" + line).MatchString(text) {
			return fmt.Errorf("no line is %s", line)
		}
	}
	return nil
}

// shows waits until a command shows a line: what nodes say of themselves takes a moment.
func (r *reader) shows(command, line string) {
	r.t.Helper()
	r.eventually(func() error {
		out, err := r.run(command)
		if err == nil {
			err = claim{shows: []string{line}}.holds(out)
		}
		if err != nil {
			return fmt.Errorf("%s: %w:\n%s", command, err, out)
		}
		return nil
	})
}

// refused runs a command that fails.
func (r *reader) refused(command, why string) {
	r.t.Helper()
	if out, err := r.run(command); err == nil || !strings.Contains(out, why) {
		r.fatal(fmt.Errorf("%s: is not refused (%s): %v:\n%s", command, why, err, out))
	}
}

// run runs commands in the terminal.
func (r *reader) run(commands string) (string, error) {
	out, err := r.shell(commands).CombinedOutput()
	return string(out), err
}

func (r *reader) shell(commands string) *exec.Cmd {
	cmd := exec.Command("sh", "-eu", "-c", r.exports+commands)
	cmd.Dir = r.dir
	cmd.Env = []string{"PATH=" + r.path, "HOME=" + r.dir}
	return cmd
}

// program is one that goes on.
type program struct {
	cmd   *exec.Cmd
	ended chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
}

func (p *program) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(data)
}

func (p *program) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// start runs a command that goes on.
func (r *reader) start(name, command string) *program {
	r.t.Helper()
	if r.running[name] != nil {
		r.fatal(fmt.Errorf("%s: the %s of before still runs, and nothing is said of stopping it", command, name))
	}
	p := &program{cmd: r.shell("exec " + command), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		r.fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // fails for one that is stopped
	}()
	r.t.Cleanup(p.stop)
	r.running[name] = p
	return p
}

// stop ends a program of the README's.
func (r *reader) stop(name string) {
	r.t.Helper()
	p := r.running[name]
	if p == nil {
		r.fatal(fmt.Errorf("the %s is to be stopped, and doesn't run", name))
	}
	p.stop()
	delete(r.running, name)
	if r.terminal == p {
		r.terminal = nil
	}
}

// stop returns when the program, and what it has started, has ended.
func (p *program) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // which make passes on; fails for one that has ended
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// eventually waits until there is no error, or a program has ended that should go on.
func (r *reader) eventually(check func() error) {
	r.t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
		for name, p := range r.running {
			select {
			case <-p.ended:
				r.fatal(fmt.Errorf("the %s has ended: %w", name, err))
			default:
			}
		}
	}
	r.fatal(err)
}

// fatal says what is wrong, and what the programs that go on have printed.
func (r *reader) fatal(err error) {
	r.t.Helper()
	for name, p := range r.running {
		r.t.Logf("the %s: %s", name, p)
	}
	r.t.Fatal(err)
}

// live returns an error until an Envoy has its first configuration, or waits for it no longer.
func live(admin string) error {
	response, err := http.Get("http://" + admin + "/ready")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("/ready: %s", response.Status)
	}
	return nil
}

// replace replaces a text in a file, which has to have it.
func replace(path, from, to string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Contains(data, []byte(from)) {
		return fmt.Errorf("%s has no %q", path, from)
	}
	return os.WriteFile(path, bytes.ReplaceAll(data, []byte(from), []byte(to)), 0o600)
}

// freeAddress returns one of loopback that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
