//go:build linux

package node

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	corev1 "k8s.io/api/core/v1"
)

// sandbox is the network of a Pod: a network namespace that a pair of interfaces connects to that of the node.
type sandbox struct {
	addr    netip.Addr
	network *os.File // the namespace, which is gone when this is closed and nobody is in it
	link    string   // the node's interface of the pair
}

// newSandbox makes the network of a Pod. Whatever the Pod sends to another address than its own goes by way of the node.
func newSandbox(addr netip.Addr, sysctls []corev1.Sysctl) (*sandbox, error) {
	s := &sandbox{addr: addr, link: "veth" + strings.ReplaceAll(strings.TrimPrefix(addr.String(), "10.244"), ".", "-")}
	var err error
	if s.network, err = newNetwork(sysctls); err != nil {
		return nil, err
	}
	if err := s.connect(); err != nil {
		return nil, errors.Join(fmt.Errorf("connecting %s: %w", addr, err), s.close())
	}
	return s, nil
}

func (s *sandbox) connect() error {
	const inside = "eth0"
	inner, err := netlink.NewHandleAt(netns.NsHandle(s.network.Fd()))
	if err != nil {
		return err
	}
	defer inner.Close()
	pair := netlink.NewVeth(netlink.LinkAttrs{Name: s.link})
	pair.PeerName = inside
	pair.PeerNamespace = netlink.NsFd(int(s.network.Fd()))
	if err := netlink.LinkAdd(pair); err != nil {
		return err
	}
	outer, err := netlink.LinkByName(s.link)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(outer); err != nil {
		return err
	}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: outer.Attrs().Index, Dst: only(s.addr), Src: Address.AsSlice(), Scope: netlink.SCOPE_LINK}); err != nil {
		return err
	}
	loopback, err := inner.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := inner.LinkSetUp(loopback); err != nil {
		return err
	}
	link, err := inner.LinkByName(inside)
	if err != nil {
		return err
	}
	if err := inner.AddrAdd(link, &netlink.Addr{IPNet: only(s.addr)}); err != nil {
		return err
	}
	if err := inner.LinkSetUp(link); err != nil {
		return err
	}
	if err := inner.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: only(Address), Scope: netlink.SCOPE_LINK}); err != nil {
		return err
	}
	return inner.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: Address.AsSlice()})
}

func (s *sandbox) close() error {
	err := s.network.Close()
	// The kernel removes the interface with the namespace, but later, and the address could be given to another Pod before.
	link, missing := netlink.LinkByName(s.link)
	if missing != nil {
		return err
	}
	if failed := netlink.LinkDel(link); failed != nil && !errors.Is(failed, unix.ENODEV) {
		return errors.Join(err, failed)
	}
	return err
}

// only is the network of a single address.
func only(addr netip.Addr) *net.IPNet {
	return &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(addr.BitLen(), addr.BitLen())}
}

// newNetwork returns a new network namespace with sysctls.
func newNetwork(sysctls []corev1.Sysctl) (*os.File, error) {
	// The thread is in the namespace while it is made. It must not end, as those who were started by it would be killed.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := netns.Get()
	if err != nil {
		return nil, err
	}
	defer before.Close()
	made, err := netns.New()
	if err != nil {
		return nil, err
	}
	network := os.NewFile(uintptr(made), "network")
	err = writeSysctls(sysctls)
	if back := netns.Set(before); back != nil {
		panic(back) // whatever would run on this thread would be in the wrong network
	}
	if err != nil {
		network.Close()
		return nil, err
	}
	return network, nil
}

// writeSysctls sets those of the thread's network namespace.
func writeSysctls(sysctls []corev1.Sysctl) error {
	for _, s := range sysctls {
		path := filepath.Join("/proc/sys", strings.ReplaceAll(s.Name, ".", "/"))
		if err := os.WriteFile(path, []byte(s.Value), 0o600); err != nil {
			return fmt.Errorf("sysctl %s: %w", s.Name, err)
		}
	}
	return nil
}
