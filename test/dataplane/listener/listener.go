package listener

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	originaldstv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	udpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/listener/udpproxy"
)

// Envoy's defaults.
const (
	defaultFiltersTimeout = 15 * time.Second // Listener.listener_filters_timeout
	defaultBufferLimit    = 1 << 20          // Listener.per_connection_buffer_limit_bytes
)

// Listener is a compiled listener, whose addresses are bound.
type Listener struct {
	set       *Set
	config    *listenerv3.Listener
	addresses []address
	bindsPort bool // bind_to_port
	reusePort bool
	sockets   []*socket

	// TCP
	filters         []listenerFilter
	filtersTimeout  time.Duration // 0 is none
	continuesAnyway bool          // continue_on_listener_filters_timeout
	handsOff        bool          // use_original_dst
	chains          []*chain
	table           chainTable
	// waiting are the connections that have no filter chain yet. Listeners that follow each other in place share it.
	waiting *tracker
	// successor is the listener that has taken the place of this one, with other filter chains.
	successor atomic.Pointer[Listener]

	proxy *udpproxy.Proxy // UDP; nil for TCP
}

// listenerFilter learns something of a connection. An error says that the connection is to be closed.
type listenerFilter func(*conn) error

// Name is the name of the listener.
func (l *Listener) Name() string { return l.config.GetName() }

// Config is the configuration of the listener.
func (l *Listener) Config() *listenerv3.Listener { return l.config }

// Addrs are the addresses that are bound, in the order of the configuration; empty with bind_to_port false.
func (l *Listener) Addrs() []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, s := range l.sockets {
		addrs = append(addrs, s.bound)
	}
	return addrs
}

// RouteNames are the route configurations (RDS) that the listener needs before it is started, sorted.
func (l *Listener) RouteNames() []string {
	return l.names(func(c *chain) []string { return c.routeNames })
}

// SecretNames are the secrets (SDS) that the listener needs before it is started, sorted.
func (l *Listener) SecretNames() []string {
	return l.names(func(c *chain) []string { return c.secretNames })
}

func (l *Listener) names(of func(*chain) []string) []string {
	var names []string
	for _, c := range l.chains {
		names = append(names, of(c)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// compile validates a configuration, and returns its listener without sockets. Filter chains are taken from the listener that it
// updates, which may be nil, if they are the same there and if nothing but filter chains differs.
//
// With an error, chains and proxy of the listener have to be released all the same.
func (s *Set) compile(config *listenerv3.Listener, updated *Listener) (*Listener, error) {
	l := &Listener{set: s, config: config, waiting: newTracker(), bindsPort: true, reusePort: true}
	if err := errors.Join(executed.Check(config), config.ValidateAll()); err != nil {
		return l, err
	}
	var err error
	if l.addresses, err = addressesOf(config); err != nil {
		return l, err
	}
	if config.GetBindToPort() != nil {
		l.bindsPort = config.GetBindToPort().GetValue()
	}
	if config.GetEnableReusePort() != nil {
		l.reusePort = config.GetEnableReusePort().GetValue()
	}
	if l.addresses[0].udp {
		return l, l.compileUDP()
	}
	if err := l.compileListenerFilters(); err != nil {
		return l, err
	}
	if updated != nil && l.onlyChainsDiffer(updated) {
		l.waiting = updated.waiting
		return l, l.compileChains(updated)
	}
	return l, l.compileChains(nil)
}

// onlyChainsDiffer says whether a listener can take the place of another one without its connections noticing. A listener without
// any but a default filter chain never does (ListenerImpl::supportUpdateFilterChain).
func (l *Listener) onlyChainsDiffer(updated *Listener) bool {
	if len(l.config.GetFilterChains()) == 0 {
		return false
	}
	rest := func(l *Listener) proto.Message {
		c := proto.CloneOf(l.config)
		c.FilterChains, c.DefaultFilterChain = nil, nil
		return c
	}
	return proto.Equal(rest(l), rest(updated))
}

func (l *Listener) compileListenerFilters() error {
	l.handsOff = l.config.GetUseOriginalDst().GetValue()
	l.continuesAnyway = l.config.GetContinueOnListenerFiltersTimeout()
	l.filtersTimeout = defaultFiltersTimeout
	if l.config.GetListenerFiltersTimeout() != nil {
		l.filtersTimeout = l.config.GetListenerFiltersTimeout().AsDuration()
	}
	for _, config := range l.config.GetListenerFilters() {
		m, err := unpacked(config.GetTypedConfig())
		if err != nil {
			return err
		}
		switch m.(type) {
		case *tlsinspectorv3.TlsInspector:
			l.filters = append(l.filters, inspectTLS)
		case *originaldstv3.OriginalDst:
			l.filters = append(l.filters, l.set.restoreDst)
		default:
			return fmt.Errorf("not executed: listener filter %s", config.GetTypedConfig().GetTypeUrl())
		}
		if err := executed.Check(m); err != nil {
			return err
		}
	}
	if l.handsOff {
		l.filters = append(l.filters, l.set.restoreDst) // use_original_dst implies it
	}
	return nil
}

// compileChains makes the filter chains, but for those that are in the updated listener, which may be nil.
func (l *Listener) compileChains(updated *Listener) error {
	configs := l.config.GetFilterChains()
	if fallback := l.config.GetDefaultFilterChain(); fallback != nil {
		configs = append(slices.Clone(configs), fallback)
	}
	if len(configs) == 0 {
		return errors.New("no filter chains specified")
	}
	bufferLimit := defaultBufferLimit
	if l.config.GetPerConnectionBufferLimitBytes() != nil {
		bufferLimit = int(l.config.GetPerConnectionBufferLimitBytes().GetValue())
	}
	for i, config := range configs {
		isFallback := i == len(l.config.GetFilterChains())
		c := updated.chain(config, isFallback)
		if c == nil {
			var err error
			if c, err = newChain(config, bufferLimit, l.set.deps); err != nil {
				return err
			}
		}
		c.users++
		l.chains = append(l.chains, c)
		if isFallback {
			l.table.fallback = c
		} else if err := l.table.add(config.GetFilterChainMatch(), c); err != nil {
			return err
		}
	}
	return nil
}

// chain returns the filter chain of a configuration, or nil. It may be called on nil.
func (l *Listener) chain(config *listenerv3.FilterChain, isFallback bool) *chain {
	if l == nil {
		return nil
	}
	for _, c := range l.chains {
		if (c == l.table.fallback) == isFallback && proto.Equal(c.config, config) {
			return c
		}
	}
	return nil
}

func (l *Listener) compileUDP() error {
	if len(l.config.GetFilterChains()) > 0 || l.config.GetDefaultFilterChain() != nil {
		return errors.New("filter chain(s) specified for connection-less UDP listener")
	}
	if len(l.config.GetListenerFilters()) != 1 {
		return fmt.Errorf("not executed: %d listener filters of a UDP listener", len(l.config.GetListenerFilters()))
	}
	if l.config.GetUseOriginalDst() != nil || !l.bindsPort {
		return errors.New("not executed: use_original_dst or bind_to_port of a UDP listener")
	}
	config := new(udpproxyv3.UdpProxyConfig) // the only kind that is executed
	if err := l.config.GetListenerFilters()[0].GetTypedConfig().UnmarshalTo(config); err != nil {
		return err
	}
	var err error
	l.proxy, err = udpproxy.New(config, l.set.deps.Clusters, l.set.deps.Logger)
	return err
}
