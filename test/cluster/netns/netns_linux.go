package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inside is set in the environment of the process that is in the namespaces, which nothing inherits from it.
const inside = "GATEWAY_APISERVER_TEST_NETNS"

// entered says that this process is in the namespaces.
var entered bool

// Inside says whether the process is in namespaces of Run.
func Inside() bool { return entered }

// Run calls prepare, and then this binary again, with the same arguments, in namespaces of its own, where it calls tests.
// prepare is for what needs the machine's network, such as building programs. Run returns an exit code, for TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(netns.Run(prepare, m.Run)) }
//
// In the namespaces, the binary is process 1, 127.0.0.0/8 and nothing else is reachable, and packets are forwarded between
// interfaces. Users other than root are root there, and the only user there is.
func Run(prepare func(context.Context) error, tests func() int) int {
	enter := func() (int, error) { return again(prepare) }
	if _, ok := os.LookupEnv(inside); ok {
		enter = func() (int, error) {
			if err := errors.Join(os.Unsetenv(inside), setUp()); err != nil {
				return 1, err
			}
			entered = true
			return tests(), nil
		}
	}
	code, err := enter()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}

// again runs this binary in new namespaces, and returns its exit code.
func again(prepare func(context.Context) error) (int, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := prepare(ctx)
	stop()
	if err != nil {
		return 1, err
	}
	program, err := os.Executable()
	if err != nil {
		return 1, err
	}
	cmd := exec.Command(program, os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	// It is killed when the thread ends that starts it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("starting the tests in namespaces of their own: %w", err)
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // fails for one that has ended
		}
	}()
	err = cmd.Wait()
	if exit := new(exec.ExitError); errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil // it has said why
	}
	return cmd.ProcessState.ExitCode(), err
}

// setUp makes the namespaces usable.
func setUp() error {
	// Otherwise mounts would show outside.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("looking for the loopback interface: %w", err)
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return fmt.Errorf("setting the loopback interface up: %w", err)
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o600)
}

// Own makes all addresses of a prefix local to the network namespace of the process: servers can bind them, and connections
// to one that nobody has bound are refused. source is where connections to them come from; it must be local.
func Own(prefix netip.Prefix, source netip.Addr) error {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	err = netlink.RouteReplace(&netlink.Route{
		LinkIndex: loopback.Attrs().Index,
		Dst:       &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())},
		Src:       source.AsSlice(),
		Type:      unix.RTN_LOCAL,
		Table:     unix.RT_TABLE_LOCAL,
		Scope:     netlink.SCOPE_HOST,
	})
	if err != nil {
		return fmt.Errorf("owning %s: %w", prefix, err)
	}
	return nil
}
