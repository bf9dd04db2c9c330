package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// startTimeout is when a process that isn't ready is given up: two cores may be shared with other tests.
	startTimeout = 2 * time.Minute
	stopTimeout  = time.Minute
	pollInterval = 50 * time.Millisecond
)

// Process is a command that can be started, ended and started again.
type Process struct {
	Name string
	// Log is the file that it writes to, over all its lives.
	Log string

	path string
	args []string
	env  []string // what it has besides PATH and HOME
	dir  string   // where it runs
	// ready says what it still waits for.
	ready func(context.Context) error

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// NewProcess returns a process of a program, with dir as its home and working directory, and a file for its log. It is not
// started.
func NewProcess(name, program, dir, log string, args ...string) *Process {
	return &Process{Name: name, Log: log, path: program, dir: dir, args: args}
}

// Start starts the process, and returns when it is ready.
func (p *Process) Start(ctx context.Context) error {
	if p.Running() {
		return fmt.Errorf("%s is running", p.Name)
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.path, p.args...)
	cmd.Dir = p.dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir}, p.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = endWithParent()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.Name, err)
	}
	done := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.done = cmd, done
	p.mu.Unlock()
	go func() {
		_ = cmd.Wait() // the exit code is for Stop to judge
		close(done)
	}()
	return p.Ready(ctx)
}

// Ready returns when the process is ready, and why not if it ends before.
func (p *Process) Ready(ctx context.Context) error {
	if p.ready == nil {
		return nil
	}
	var waitsFor error
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errors.New("no longer waited"))
	defer cancel()
	for {
		if waitsFor = p.ready(ctx); waitsFor == nil {
			return nil
		}
		select {
		case <-p.ended():
			return fmt.Errorf("%s ended: %w\n%s", p.Name, waitsFor, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %w\n%s", p.Name, context.Cause(ctx), waitsFor, p.tail())
		case <-time.After(pollInterval):
		}
	}
}

// AddEnv gives the process more variables, NAME=VALUE, from its next start on.
func (p *Process) AddEnv(variables ...string) { p.env = append(p.env, variables...) }

// Pause stops the process where it is, as a machine does that has no time for it, until Resume. It can be killed meanwhile,
// but not stopped.
func (p *Process) Pause() error { return p.send(syscall.SIGSTOP) }

// Resume undoes Pause.
func (p *Process) Resume() error { return p.send(syscall.SIGCONT) }

func (p *Process) send(sig syscall.Signal) error {
	if !p.Running() {
		return fmt.Errorf("%s is not running", p.Name)
	}
	return p.cmd.Process.Signal(sig)
}

// Running says whether the process was started and has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.ended():
		return false
	default:
		return true
	}
}

func (p *Process) ended() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done == nil { // it was never started
		p.done = make(chan struct{})
		close(p.done)
	}
	return p.done
}

// Stop ends the process with SIGTERM, and returns an error unless it ends well: with exit code 0, or, as etcd does, by
// sending itself that signal in the end.
func (p *Process) Stop() error {
	if !p.Running() {
		return nil
	}
	if !p.signal(syscall.SIGTERM) {
		return fmt.Errorf("%s did not stop\n%s", p.Name, p.tail())
	}
	state := p.cmd.ProcessState
	if status, ok := state.Sys().(syscall.WaitStatus); !state.Success() && !(ok && status.Signal() == syscall.SIGTERM) {
		return fmt.Errorf("%s: %s\n%s", p.Name, state, p.tail())
	}
	return p.check()
}

// Kill ends the process with SIGKILL, if it runs.
func (p *Process) Kill() error {
	if p.Running() && !p.signal(syscall.SIGKILL) {
		return fmt.Errorf("%s did not end", p.Name)
	}
	return p.check()
}

// signal says whether the process has ended because of it.
func (p *Process) signal(sig syscall.Signal) bool {
	_ = p.cmd.Process.Signal(sig) // fails for one that has ended
	select {
	case <-p.ended():
		return true
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		return false
	}
}

// check looks for what no process may log, whatever is done to it.
func (p *Process) check() error { return CheckLog(p.Log) }

// CheckLog returns an error if a log has what none of our programs may log, whatever is done to it.
func CheckLog(file string) error {
	log, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for _, trouble := range []string{"DATA RACE", "\npanic: ", "Observed a panic"} {
		if at := strings.Index(string(log), trouble); at >= 0 {
			return fmt.Errorf("%s has: %.4000s", file, log[at:])
		}
	}
	return nil
}

// tail returns the end of the log.
func (p *Process) tail() string {
	const size = 4000
	log, err := os.Open(p.Log)
	if err != nil {
		return err.Error()
	}
	defer log.Close()
	if info, err := log.Stat(); err == nil && info.Size() > size {
		_, _ = log.Seek(-size, io.SeekEnd)
	}
	text, _ := io.ReadAll(log)
	return fmt.Sprintf("%s ends with:\n%s", filepath.Base(p.Log), text)
}
