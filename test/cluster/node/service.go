//go:build linux

package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	sockets "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
)

// proxy has connections to cluster IPs go to the endpoints that are ready, each to a random one, as kube-proxy does: by
// packet filter rules in the network namespace of the node. Those to a port that has no endpoints are refused. Node ports,
// load balancers' addresses and session affinity are not done.
type proxy struct {
	services corelisters.ServiceLister
	slices   discoverylisters.EndpointSliceLister
	changed  chan struct{}
	done     []rule // what the packet filter has
}

// rule is where packets for a port of a cluster IP go.
type rule struct {
	frontend  netip.AddrPort
	udp       bool
	endpoints []netip.AddrPort
}

func (r rule) compare(other rule) int {
	return cmp.Or(r.frontend.Compare(other.frontend), cmp.Compare(r.protocol(), other.protocol()))
}

func (r rule) protocol() byte {
	if r.udp {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}

// notice has the rules made anew, soon.
func (p *proxy) notice() {
	select {
	case p.changed <- struct{}{}:
	default: // they will be
	}
}

// run keeps the packet filter up to date. It tries again after an error, which it reports.
func (p *proxy) run(ctx context.Context, report func(error)) {
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.changed:
		case <-again:
		}
		again = nil
		if err := p.sync(); err != nil {
			report(err)
			again = time.After(time.Second)
		}
	}
}

func (p *proxy) sync() error {
	rules, err := p.rules()
	if err != nil {
		return err
	}
	if slices.EqualFunc(rules, p.done, func(a, b rule) bool { return a.compare(b) == 0 && slices.Equal(a.endpoints, b.endpoints) }) {
		return nil
	}
	if err := program(rules); err != nil {
		return fmt.Errorf("programming the packet filter: %w", err)
	}
	before := p.done
	p.done = rules
	return forget(before, rules)
}

// rules returns what the packet filter is to have, in order.
func (p *proxy) rules() ([]rule, error) {
	services, err := p.services.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	var rules []rule
	for _, service := range services {
		ip, err := netip.ParseAddr(service.Spec.ClusterIP)
		if err != nil || !ip.Is4() {
			continue // it has none
		}
		ends, err := p.slices.EndpointSlices(service.Namespace).List(labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service.Name}))
		if err != nil {
			return nil, err
		}
		for _, port := range service.Spec.Ports {
			if port.Protocol != corev1.ProtocolTCP && port.Protocol != corev1.ProtocolUDP {
				continue
			}
			r := rule{frontend: netip.AddrPortFrom(ip, uint16(port.Port)), udp: port.Protocol == corev1.ProtocolUDP}
			r.endpoints = readyEndpoints(ends, port)
			if len(r.endpoints) > 0 {
				rules = append(rules, r)
			}
		}
	}
	slices.SortFunc(rules, rule.compare)
	return rules, nil
}

// readyEndpoints returns the endpoints of a port that are ready, each once, in order.
func readyEndpoints(ends []*discoveryv1.EndpointSlice, of corev1.ServicePort) []netip.AddrPort {
	var found []netip.AddrPort
	for _, slice := range ends {
		if slice.AddressType != discoveryv1.AddressTypeIPv4 {
			continue
		}
		for _, port := range slice.Ports {
			if port.Port == nil || value(port.Name) != of.Name || value(port.Protocol) != of.Protocol {
				continue
			}
			for _, end := range slice.Endpoints {
				if end.Conditions.Ready != nil && !*end.Conditions.Ready {
					continue
				}
				if addr, err := netip.ParseAddr(end.Addresses[0]); err == nil {
					found = append(found, netip.AddrPortFrom(addr, uint16(*port.Port)))
				}
			}
		}
	}
	slices.SortFunc(found, netip.AddrPort.Compare)
	return slices.Compact(found)
}

// value is what a pointer points to, or nothing.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// batch is the space in bytes for rules that are sent at once, and for the kernel's answers, of which none is read before all
// are sent. A rule takes less than a kilobyte of either.
const batch = 32 << 20

// program replaces all that the packet filter does for Services, at once.
func program(rules []rule) error {
	conn, err := nftables.New(nftables.WithSockOptions(func(conn *sockets.Conn) error {
		return errors.Join(conn.SetWriteBuffer(batch), conn.SetReadBuffer(batch))
	}))
	if err != nil {
		return err
	}
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: "services"}
	conn.AddTable(table) // so that it can be deleted
	conn.DelTable(table)
	conn.AddTable(table)
	dispatch := conn.AddChain(&nftables.Chain{Table: table, Name: "services"})
	hairpin := conn.AddChain(&nftables.Chain{
		Table: table, Name: "postrouting", Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	for name, hook := range map[string]*nftables.ChainHook{"prerouting": nftables.ChainHookPrerouting, "output": nftables.ChainHookOutput} {
		entry := conn.AddChain(&nftables.Chain{
			Table: table, Name: name, Type: nftables.ChainTypeNAT, Hooknum: hook, Priority: nftables.ChainPriorityNATDest,
		})
		conn.AddRule(&nftables.Rule{Table: table, Chain: entry, Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: dispatch.Name}}})
	}
	var pods []netip.Addr
	for _, r := range rules {
		chain := conn.AddChain(&nftables.Chain{Table: table, Name: fmt.Sprintf("%s:%d/%d", r.frontend.Addr(), r.frontend.Port(), r.protocol())})
		conn.AddRule(&nftables.Rule{Table: table, Chain: dispatch, Exprs: append(r.matches(), &expr.Verdict{Kind: expr.VerdictGoto, Chain: chain.Name})})
		for i, end := range r.endpoints {
			conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: translation(end, len(r.endpoints)-i)})
			pods = append(pods, end.Addr())
		}
	}
	slices.SortFunc(pods, netip.Addr.Compare)
	for _, pod := range slices.Compact(pods) {
		conn.AddRule(&nftables.Rule{Table: table, Chain: hairpin, Exprs: toItself(pod)})
	}
	return conn.Flush()
}

const sourceOffset, destinationOffset, destinationPortOffset = 12, 16, 2 // in the IPv4, TCP and UDP headers

// matches are for: ip daddr ADDRESS meta l4proto PROTOCOL th dport PORT.
func (r rule) matches() []expr.Any {
	return slices.Concat(address(destinationOffset, r.frontend.Addr()), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{r.protocol()}},
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: destinationPortOffset, Len: 2, DestRegister: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: port(r.frontend.Port())},
	})
}

func address(offset uint32, is netip.Addr) []expr.Any {
	return []expr.Any{
		&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4, DestRegister: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: is.AsSlice()},
	}
}

// translation is for: numgen random mod LEFT 0 dnat to END. LEFT is how many rules there are from this one on.
func translation(end netip.AddrPort, left int) []expr.Any {
	return []expr.Any{
		&expr.Numgen{Register: 1, Modulus: uint32(left), Type: unix.NFT_NG_RANDOM},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(0)},
		&expr.Immediate{Register: 1, Data: end.Addr().AsSlice()},
		&expr.Immediate{Register: 2, Data: port(end.Port())},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2},
	}
}

// toItself is for: ip saddr POD ip daddr POD snat to NODE. What a Pod sends to a Service comes back to it when it is the
// endpoint, and it would not accept packets from itself.
func toItself(pod netip.Addr) []expr.Any {
	return slices.Concat(address(sourceOffset, pod), address(destinationOffset, pod), []expr.Any{
		&expr.Immediate{Register: 1, Data: Address.AsSlice()},
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1},
	})
}

// forget has datagrams of clients that go on sending from the same port follow the rules when these have changed. The kernel
// sends them where it sent the first one, until there are none for a while.
func forget(before, after []rule) error {
	var errs []error
	for _, r := range slices.Concat(before, after) {
		same := func(rules []rule) []netip.AddrPort {
			if i, found := slices.BinarySearchFunc(rules, r, rule.compare); found {
				return rules[i].endpoints
			}
			return nil
		}
		if !r.udp || slices.Equal(same(before), same(after)) {
			continue
		}
		filter := &netlink.ConntrackFilter{}
		errs = append(errs, filter.AddProtocol(unix.IPPROTO_UDP), filter.AddIP(netlink.ConntrackOrigDstIP, r.frontend.Addr().AsSlice()),
			filter.AddPort(netlink.ConntrackOrigDstPort, r.frontend.Port()))
		_, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, filter)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
