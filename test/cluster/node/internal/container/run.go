//go:build linux

package container

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Run makes this process the first one of a container, and becomes the container's program. It returns only an error. The
// process has mount, process, host name and IPC namespaces of its own.
func Run() error {
	// Namespaces and capabilities are those of a thread, until one executes a program.
	runtime.LockOSThread()
	c, err := readConfig()
	if err != nil {
		return err
	}
	if err := unix.Setns(namespaceFD, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("joining the network: %w", err)
	}
	if err := unix.Sethostname([]byte(c.Hostname)); err != nil {
		return fmt.Errorf("setting the host name: %w", err)
	}
	if err := c.Root.enter(); err != nil {
		return err
	}
	if err := c.User.become(); err != nil {
		return err
	}
	program, err := c.find()
	if err != nil {
		return err
	}
	return fmt.Errorf("executing %s: %w", program, unix.Exec(program, c.Args, c.Env))
}

// Exec runs a process in a container, and returns its exit code. SIGTERM kills it.
func Exec() (int, error) {
	// The thread is that of the container from here on, and so is what it starts.
	runtime.LockOSThread()
	c, err := readConfig()
	if err != nil {
		return 0, err
	}
	// A thread that shares its root with others can't have other mounts than they.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return 0, fmt.Errorf("leaving the root: %w", err)
	}
	const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC
	if err := unix.Setns(namespaceFD, namespaces); err != nil {
		return 0, fmt.Errorf("joining the container: %w", err)
	}
	if err := c.User.limit(); err != nil {
		return 0, err
	}
	program, err := c.find()
	if err != nil {
		return 0, err
	}
	cmd := exec.Cmd{Path: program, Args: c.Args, Env: c.Env, Dir: c.Dir, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	groups := make([]uint32, len(c.User.Groups))
	for i, g := range c.User.Groups {
		groups[i] = uint32(g)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: uint32(c.User.UID), Gid: uint32(c.User.GID), Groups: groups},
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() {
		<-told
		_ = cmd.Process.Kill() // fails for one that has ended
	}()
	err = cmd.Wait()
	exit := new(exec.ExitError)
	if !errors.As(err, &exit) {
		return 0, err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}

// find goes to where the process is to run, and returns the path of its program.
func (c *Config) find() (string, error) {
	if c.Dir == "" {
		c.Dir = "/"
	}
	if err := os.Chdir(c.Dir); err != nil {
		return "", err
	}
	for _, variable := range c.Env {
		if path, ok := strings.CutPrefix(variable, "PATH="); ok {
			if err := os.Setenv("PATH", path); err != nil {
				return "", err
			}
		}
	}
	return exec.LookPath(c.Args[0])
}

// become gives the process its user, for all that it executes.
func (u *User) become() error {
	if err := u.limit(); err != nil {
		return err
	}
	if err := syscall.Setgroups(u.Groups); err != nil {
		return fmt.Errorf("setting the groups %d: %w", u.Groups, err)
	}
	if err := syscall.Setgid(u.GID); err != nil {
		return fmt.Errorf("setting the group %d: %w", u.GID, err)
	}
	if err := syscall.Setuid(u.UID); err != nil {
		return fmt.Errorf("setting the user %d: %w", u.UID, err)
	}
	// The kernel forgets this signal when a process gets another user.
	return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
}

// limit takes what capabilities the user can't have from this thread and all that it executes. A program gets those that
// are left if its user is root.
func (u *User) limit() error {
	if u.NoNewPrivileges {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("forbidding new privileges: %w", err)
		}
	}
	kept := map[uintptr]bool{}
	for _, c := range u.Capabilities {
		kept[c] = true
	}
	for c := range uintptr(unix.CAP_LAST_CAP + 1) {
		if kept[c] {
			continue
		}
		// EINVAL is what a kernel says that doesn't know the capability.
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("dropping capability %d: %w", c, err)
		}
	}
	return nil
}
