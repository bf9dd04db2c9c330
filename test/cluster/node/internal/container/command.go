//go:build linux

package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// SetupFailed is the exit code when a process could not be run as it was to.
const SetupFailed = 128

// Command returns a command that runs the first process of a container, in a network namespace. program is containerinit.
// Once it has started, end has to be called.
func Command(program string, network *os.File, c *Config) (cmd *exec.Cmd, end func(), err error) {
	cmd = exec.Command(program, "run")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	return configured(cmd, c, network)
}

// ExecCommand returns a command that runs another process in the container whose first process has an ID. Once it has
// started, end has to be called.
func ExecCommand(program string, pid int, c *Config) (cmd *exec.Cmd, end func(), err error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("finding the container: %w", err)
	}
	process := os.NewFile(uintptr(fd), "process")
	cmd = exec.Command(program, "exec")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd, closeConfig, err := configured(cmd, c, process)
	if err != nil {
		return nil, nil, errors.Join(err, process.Close())
	}
	return cmd, func() {
		closeConfig()
		process.Close()
	}, nil
}

// configured gives a command a configuration and a file.
func configured(cmd *exec.Cmd, c *Config, file *os.File) (*exec.Cmd, func(), error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, nil, err
	}
	// A pipe could be too small for it.
	fd, err := unix.MemfdCreate("config", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, nil, err
	}
	config := os.NewFile(uintptr(fd), "config")
	if _, err := config.WriteAt(data, 0); err != nil {
		config.Close()
		return nil, nil, err
	}
	cmd.ExtraFiles = []*os.File{config, file}
	return cmd, func() { config.Close() }, nil
}
