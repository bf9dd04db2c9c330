package crowd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"time"
)

// environment is set for a process that is to be a crowd.
const environment = "GATEWAY_APISERVER_BENCH_CROWD"

// Main makes this process a crowd, and ends it with its standard input, if [Start] started it. Programs that call Start call it
// first.
func Main() {
	if os.Getenv(environment) == "" {
		return
	}
	server := rpc.NewServer()
	if err := server.RegisterName("Crowd", &service{}); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	server.ServeConn(stdio{os.Stdin, os.Stdout})
	os.Exit(0)
}

type stdio struct {
	io.ReadCloser
	io.Writer
}

// Process is another process of this program.
type Process struct {
	cmd    *exec.Cmd
	client *rpc.Client
}

// Start starts a process of this program for one crowd.
func Start() (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), environment+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &Process{cmd: cmd, client: rpc.NewClient(pipes{out, in})}, nil
}

// pipes are the standard streams of another process.
type pipes struct {
	io.Reader
	io.WriteCloser
}

// Stop disconnects the clients, and ends the process.
func (p *Process) Stop() error {
	return errors.Join(p.client.Close(), p.cmd.Wait())
}

// Connected says what came before a crowd was connected.
type Connected struct {
	Received int64 // bytes of responses
}

// Connect is [Connect] in the process, within a time.
func (p *Process) Connect(ctx context.Context, config Config) (Connected, error) {
	return call[Connected](ctx, p, "Connect", config)
}

// Expect is [Crowd.Expect] in the process.
func (p *Process) Expect(ctx context.Context, typeURL, marker string) error {
	_, err := call[struct{}](ctx, p, "Expect", [2]string{typeURL, marker})
	return err
}

// Await is [Crowd.Await] in the process.
func (p *Process) Await(ctx context.Context) (Arrival, error) {
	return call[Arrival](ctx, p, "Await", struct{}{})
}

// Read keeps all that a Gateway's node is served, and returns how many resources that is.
func (p *Process) Read(ctx context.Context, address, gateway string) (int, error) {
	return call[int](ctx, p, "Read", [2]string{address, gateway})
}

// Again reads until it gets, byte for byte, what Read got, and returns when it had.
func (p *Process) Again(ctx context.Context, address, gateway string) (Reread, error) {
	return call[Reread](ctx, p, "Again", [2]string{address, gateway})
}

// call calls a method of the service, which ends with ctx.
func call[T any](ctx context.Context, p *Process, method string, argument any) (T, error) {
	var reply T
	if deadline, ok := ctx.Deadline(); ok {
		if err := p.client.Call("Crowd.Deadline", time.Until(deadline), new(struct{})); err != nil {
			return reply, err
		}
	}
	pending := p.client.Go("Crowd."+method, argument, &reply, make(chan *rpc.Call, 1))
	select {
	case <-pending.Done:
		return reply, pending.Error
	case <-ctx.Done():
		return reply, ctx.Err()
	}
}

// service are the methods of a crowd's process. They are called one after the other.
type service struct {
	timeout  time.Duration
	crowd    *Crowd
	contents contents
}

// Deadline says how long the next call may take.
func (s *service) Deadline(timeout time.Duration, _ *struct{}) error {
	s.timeout = timeout
	return nil
}

func (s *service) context() (context.Context, context.CancelFunc) {
	if s.timeout == 0 {
		return context.WithCancel(context.Background())
	}
	return context.WithTimeout(context.Background(), s.timeout)
}

// Connect connects the process's crowd.
func (s *service) Connect(config Config, reply *Connected) (err error) {
	ctx, cancel := s.context()
	defer cancel()
	if s.crowd, err = Connect(ctx, config); err != nil {
		return err
	}
	reply.Received = s.crowd.received.Load()
	return nil
}

// Expect is given a type URL and a marker.
func (s *service) Expect(what [2]string, _ *struct{}) error {
	if s.crowd == nil {
		return errors.New("not connected")
	}
	s.crowd.Expect(what[0], what[1])
	return nil
}

// Await waits for what is expected.
func (s *service) Await(_ struct{}, reply *Arrival) (err error) {
	if s.crowd == nil {
		return errors.New("not connected")
	}
	ctx, cancel := s.context()
	defer cancel()
	*reply, err = s.crowd.Await(ctx)
	return err
}

// Read is given an address and a Gateway.
func (s *service) Read(of [2]string, reply *int) (err error) {
	ctx, cancel := s.context()
	defer cancel()
	if s.contents, err = read(ctx, of[0], of[1]); err != nil {
		return err
	}
	*reply = len(s.contents)
	return nil
}

// Again is given an address and a Gateway.
func (s *service) Again(of [2]string, reply *Reread) (err error) {
	ctx, cancel := s.context()
	defer cancel()
	*reply, err = again(ctx, of[0], of[1], s.contents)
	return err
}
