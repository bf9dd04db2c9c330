//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"

	utilexec "k8s.io/utils/exec"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster/node/internal/container"
)

// streams are those of a process; each can be nil.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// exec runs a command in the container. An exit code other than 0 is a utilexec.ExitError.
func (r *runner) exec(ctx context.Context, command []string, s streams) error {
	pid := r.view().pid
	if pid == 0 {
		return fmt.Errorf("container %s doesn't run", r.name)
	}
	config := r.config
	config.Args = command
	cmd, closeFiles, err := container.ExecCommand(r.pod.node.init, pid, &config)
	if err != nil {
		return err
	}
	defer closeFiles()
	cmd.Stdout, cmd.Stderr = s.out, s.err
	if s.in != nil {
		// Not as cmd.Stdin, whose end would be waited for.
		in, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(in, s.in) // until either of them is closed
			_ = in.Close()
		}()
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })() // fails for one that has ended
	err = cmd.Wait()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return utilexec.CodeExitError{Err: err, Code: exit.ExitCode()}
	}
	return err
}
