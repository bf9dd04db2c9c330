//go:build linux

package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// task is what the binary does instead of running tests.
const task = "NETNS_TEST_TASK"

func TestMain(m *testing.M) {
	run := m.Run
	if os.Getenv(task) != "" {
		run = leaveBehind
	}
	os.Exit(Run(func(context.Context) error { return nil }, run))
}

// left is the argument of a process that is left behind.
const left = "98765.4321"

func leaveBehind() int {
	if err := exec.Command("sleep", left).Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 3
}

func TestNamespaces(t *testing.T) {
	t.Parallel()
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		if up := i.Flags&net.FlagUp != 0; up != (i.Name == "lo") {
			t.Errorf("interface %s: up is %t", i.Name, up)
		}
	}
	if pid := os.Getpid(); pid != 1 || !Inside() {
		t.Errorf("process %d, inside is %t", pid, Inside())
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), " shared:") {
		t.Errorf("mounts are shared with others: %s", mounts)
	}
	if _, ok := os.LookupEnv(inside); ok {
		t.Error("what the tests start believes that it is in namespaces of its own")
	}
}

func TestOwn(t *testing.T) {
	t.Parallel()
	if err := Own(netip.MustParsePrefix("192.0.2.0/24"), netip.MustParseAddr("127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "192.0.2.7:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if from := conn.LocalAddr().(*net.TCPAddr).IP.String(); from != "127.0.0.1" {
		t.Errorf("connections come from %s", from)
	}
	if conn, err := net.Dial("tcp", "192.0.2.8:7"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connecting to nobody: %v, %v", conn, err)
	}
	if conn, err := net.Dial("tcp", "198.51.100.1:7"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("connecting to the world: %v, %v", conn, err)
	}
}

// Whatever has been started ends with the tests, and their exit code is that of the binary.
func TestEnd(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), task+"=leave")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("it ended with %v: %s", err, out)
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(commands) == 0 {
		t.Fatalf("%d processes: %v", len(commands), err)
	}
	for _, path := range commands {
		if command, err := os.ReadFile(path); err == nil && strings.Contains(string(command), left) {
			t.Errorf("%q is still there", command)
		}
	}
}
