//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster/node/internal/container"
)

const (
	// A container that ends is started again at once, then after a back-off. A kubelet's are ten times as long.
	firstBackOff = time.Second
	maxBackOff   = 30 * time.Second
	// backOffReset is how long a container has to run for its back-off to begin anew.
	backOffReset = time.Minute
)

// runner runs a container, again and again.
type runner struct {
	process
	pod *pod

	ending chan struct{} // closed when it is not to be started again
	once   sync.Once
	done   chan struct{} // closed when it has ended for good
	ready  chan struct{} // closed when it is ready for the first time

	mu    sync.Mutex
	state containerState
	log   *containerLog
	// previous is the log of the life before.
	previous *containerLog
	kill     func(syscall.Signal) // of the process that runs
	dead     chan struct{}        // closed when that has ended
}

// containerState is what the status of a container is made from.
type containerState struct {
	id             string
	restarts       int32
	running        *corev1.ContainerStateRunning
	waiting        *corev1.ContainerStateWaiting
	last           *corev1.ContainerStateTerminated
	started, ready bool
	pid            int
}

func newRunner(p *pod, is process) *runner {
	return &runner{process: is, pod: p, ending: make(chan struct{}), done: make(chan struct{}), ready: make(chan struct{})}
}

// run starts the container until end is called, and then returns when it has ended.
func (r *runner) run() {
	defer close(r.done)
	backOff := time.Duration(0)
	for {
		at := time.Now()
		if err := r.live(); err != nil {
			r.set(func(s *containerState) {
				s.waiting = &corev1.ContainerStateWaiting{Reason: "CreateContainerError", Message: err.Error()}
			})
		}
		switch lived := time.Since(at); {
		case lived > backOffReset || backOff == 0 && r.view().restarts == 0:
			backOff = 0
		case backOff == 0:
			backOff = firstBackOff
		default:
			backOff = min(2*backOff, maxBackOff)
		}
		select {
		case <-r.ending:
			return
		default:
		}
		if backOff > 0 {
			r.set(func(s *containerState) {
				if s.waiting == nil {
					s.waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: fmt.Sprintf("back-off %s restarting failed container", backOff)}
				}
			})
		}
		select {
		case <-r.ending:
			return
		case <-time.After(backOff):
		}
		r.set(func(s *containerState) { s.restarts++ })
	}
}

// live starts the container, and returns when it has ended. An error is why it wasn't started.
func (r *runner) live() error {
	cmd, closeFiles, err := container.Command(r.pod.node.init, r.pod.sandbox.network, &r.config)
	if err != nil {
		return err
	}
	log, err := newLog(filepath.Join(r.pod.node.logs, fmt.Sprintf("%s_%s_%s.%d.log", r.pod.key.Namespace, r.pod.key.Name, r.name, r.view().restarts)))
	if err != nil {
		closeFiles()
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	err = cmd.Start()
	closeFiles()
	if err != nil {
		return errors.Join(err, log.end())
	}
	dead := make(chan struct{})
	r.mu.Lock()
	r.previous, r.log = r.log, log
	r.dead = dead
	r.kill = func(s syscall.Signal) { _ = cmd.Process.Signal(s) } // fails for one that has ended
	r.mu.Unlock()
	started := metav1.Now()
	r.set(func(s *containerState) {
		s.waiting, s.running = nil, &corev1.ContainerStateRunning{StartedAt: started}
		s.id, s.pid = "process://"+uuid.NewString(), cmd.Process.Pid
		s.started, s.ready = r.startup == nil, r.startup == nil && r.readiness == nil
	})
	select {
	case <-r.ending: // it was told so before there was a process
		_ = cmd.Process.Kill()
	default:
	}
	ctx, stop := context.WithCancel(context.Background())
	var probes sync.WaitGroup
	probes.Go(func() { r.probe(ctx) })
	waited := cmd.Wait()
	close(dead)
	stop()
	probes.Wait()
	if err := log.end(); err != nil {
		r.pod.node.logger.Error("Log of a container", "pod", r.pod.key, "container", r.name, "err", err)
	}
	r.set(func(s *containerState) {
		s.last = r.terminated(cmd, waited, s.id, started, log)
		s.running, s.ready, s.started, s.pid = nil, false, false, 0
	})
	return nil
}

// terminated says how the container has ended.
func (r *runner) terminated(cmd *exec.Cmd, waited error, id string, started metav1.Time, log *containerLog) *corev1.ContainerStateTerminated {
	t := &corev1.ContainerStateTerminated{
		ContainerID: id, StartedAt: started, FinishedAt: metav1.Now(), Reason: "Completed", ExitCode: int32(cmd.ProcessState.ExitCode()),
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		t.Signal, t.ExitCode = int32(status.Signal()), 128+int32(status.Signal())
	}
	if t.ExitCode == 0 && waited == nil {
		return t
	}
	t.Reason = "Error"
	switch {
	case t.ExitCode == container.SetupFailed:
		t.Reason, t.Message = "StartError", log.tail()
	case r.logsOnError:
		t.Message = log.tail()
	}
	return t
}

// end has the container end within a time, and returns when it has.
func (r *runner) end(grace time.Duration) {
	r.once.Do(func() { close(r.ending) })
	r.mu.Lock()
	kill, dead := r.kill, r.dead
	r.mu.Unlock()
	if kill != nil {
		ctx, stop := context.WithTimeout(context.Background(), grace)
		defer stop()
		r.beforeStop(ctx, dead)
		kill(syscall.SIGTERM)
		select {
		case <-dead:
		case <-ctx.Done():
			kill(syscall.SIGKILL)
		}
	}
	<-r.done
}

// beforeStop does what the container asks for before it gets a signal, as long as it runs and until the context ends.
func (r *runner) beforeStop(ctx context.Context, dead <-chan struct{}) {
	if r.preStop == nil {
		return
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer stop()
		<-dead
	}()
	if sleep := r.preStop.Sleep; sleep != nil {
		select {
		case <-time.After(time.Duration(sleep.Seconds) * time.Second):
		case <-ctx.Done():
		}
	}
	if command := r.preStop.Exec; command != nil {
		if err := r.exec(ctx, command.Command, streams{}); err != nil {
			r.pod.node.logger.Warn("preStop hook", "pod", r.pod.key, "container", r.name, "err", err)
		}
	}
}

// restart ends the container, which is started again. The context ends with its process.
func (r *runner) restart(ctx context.Context) {
	r.mu.Lock()
	kill := r.kill
	r.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	kill(syscall.SIGTERM)
	select {
	case <-ctx.Done():
	case <-time.After(r.pod.grace()):
		kill(syscall.SIGKILL)
	}
}

// set changes the state, which the Pod's status is to show.
func (r *runner) set(change func(*containerState)) {
	r.mu.Lock()
	change(&r.state)
	if r.state.ready {
		select {
		case <-r.ready:
		default:
			close(r.ready)
		}
	}
	r.mu.Unlock()
	r.pod.notice()
}

func (r *runner) view() containerState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// logOf returns the log of the container, or of its life before; nil if there is none.
func (r *runner) logOf(previous bool) *containerLog {
	r.mu.Lock()
	defer r.mu.Unlock()
	if previous {
		return r.previous
	}
	return r.log
}
