package listener

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
)

// Set is the listeners of a data plane. Its methods are safe for concurrent use.
type Set struct {
	deps Deps

	mu       sync.RWMutex
	active   map[string]*Listener
	prepared map[string]*Listener
	// draining are what drains, and close is what ends it.
	draining sync.WaitGroup
	ctx      context.Context
	close    context.CancelFunc
}

// NewSet returns a Set without listeners.
func NewSet(deps Deps) *Set {
	if deps.OriginalDst == nil {
		deps.OriginalDst = originalDst
	}
	s := &Set{deps: deps, active: map[string]*Listener{}, prepared: map[string]*Listener{}}
	s.ctx, s.close = context.WithCancel(context.Background())
	return s
}

// Prepare validates a listener and binds its addresses. An error of it is what the listener is rejected with; the listener of
// that name that is served, if there is one, goes on.
//
// The listener accepts nothing until [Listener.Start]. Another one of its name that is prepared, but not started, is discarded.
func (s *Set) Prepare(config *listenerv3.Listener) (*Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if config.GetName() == "" {
		return nil, errors.New("a listener needs a name")
	}
	if s.ctx.Err() != nil {
		return nil, errors.New("closed")
	}
	l, err := s.compile(config, s.active[config.GetName()])
	if err == nil {
		err = s.bind(l)
	}
	if err != nil {
		s.release(l)
		return nil, fmt.Errorf("error adding listener '%s': %w", config.GetName(), err)
	}
	if previous := s.prepared[l.Name()]; previous != nil {
		s.release(previous)
	}
	s.prepared[l.Name()] = l
	return l, nil
}

// bind gives a listener its sockets: those of the listener that it updates if the addresses are the same, else new ones. As in
// Envoy, no two listeners have an address in common.
func (s *Set) bind(l *Listener) error {
	updated := s.prepared[l.Name()]
	if updated == nil {
		updated = s.active[l.Name()]
	}
	if updated != nil && updated.reusePort != l.reusePort {
		return errors.New("reuse port cannot be changed during an update")
	}
	if updated != nil && sameAddresses(l, updated) {
		if updated.bindsPort != l.bindsPort {
			return errors.New("not executed: a change of bind_to_port")
		}
		for _, a := range l.addresses {
			i := slices.IndexFunc(updated.sockets, func(s *socket) bool { return s.address == a && !slices.Contains(l.sockets, s) })
			if i >= 0 { // there are none with bind_to_port false
				l.use(updated.sockets[i])
			}
		}
		return nil
	}
	for _, listeners := range []map[string]*Listener{s.prepared, s.active} {
		for _, other := range listeners {
			if (other.Name() != l.Name() || !l.reusePort) && duplicates(other, l) {
				return fmt.Errorf("duplicate address as existing listener '%s'", other.Name())
			}
		}
	}
	if !l.bindsPort {
		return nil
	}
	for _, a := range l.addresses {
		socket, err := bind(a, l.reusePort, s.deps.Logger)
		if err != nil {
			return err
		}
		l.use(socket)
	}
	return nil
}

func (l *Listener) use(s *socket) {
	s.users++
	l.sockets = append(l.sockets, s)
}

// sameAddresses says whether two listeners have the same addresses, in whatever order.
func sameAddresses(a, b *Listener) bool {
	compare := func(a, b address) int { return a.Compare(b.AddrPort) }
	return slices.Equal(slices.SortedFunc(slices.Values(a.addresses), compare), slices.SortedFunc(slices.Values(b.addresses), compare))
}

// duplicates says whether a listener has an address of an existing one. Port 0 is another port each time, unless it isn't bound
// (ListenerImpl::hasDuplicatedAddress).
func duplicates(existing, l *Listener) bool {
	return slices.ContainsFunc(l.addresses, func(a address) bool {
		return (a.Port() != 0 || !existing.bindsPort) && slices.ContainsFunc(existing.addresses, func(b address) bool {
			return a.AddrPort == b.AddrPort && a.udp == b.udp
		})
	})
}

// Start accepts connections, in place of the listener of that name that is served until now. If they differ in nothing but filter
// chains, connections of filter chains that both have stay; all others are drained. After an error, the listener is discarded.
func (l *Listener) Start() error {
	s := l.set
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prepared[l.Name()] != l {
		return fmt.Errorf("listener '%s' isn't prepared any more", l.Name())
	}
	for _, socket := range l.sockets {
		if err := socket.serve(l); err != nil {
			s.discard(l)
			return err
		}
	}
	previous := s.active[l.Name()]
	s.active[l.Name()] = l
	delete(s.prepared, l.Name())
	if previous != nil {
		if previous.waiting == l.waiting {
			previous.successor.Store(l)
		}
		s.retire(previous)
	}
	return nil
}

// Discard releases a listener that isn't going to be started.
func (l *Listener) Discard() {
	l.set.mu.Lock()
	defer l.set.mu.Unlock()
	l.set.discard(l)
}

func (s *Set) discard(l *Listener) {
	if l != nil && s.prepared[l.Name()] == l {
		delete(s.prepared, l.Name())
		s.release(l)
	}
}

// release gives up what a listener that was never started has for itself.
func (s *Set) release(l *Listener) {
	l.releaseSockets()
	for _, c := range l.releaseChains() {
		s.logged(c.close())
	}
	if l.proxy != nil {
		s.logged(l.proxy.Close())
	}
}

// Remove stops accepting connections for the listener of that name, and drains those it has. A listener that is prepared is
// discarded.
func (s *Set) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.discard(s.prepared[name])
	if l := s.active[name]; l != nil {
		delete(s.active, name)
		s.retire(l)
	}
}

// retire ends a listener that is active no more: its sockets at once, unless its successor has them; its filter chains, but for
// those that its successor has, when their connections have ended or the drain time is over.
func (s *Set) retire(l *Listener) {
	l.releaseSockets()
	if l.proxy != nil {
		s.logged(l.proxy.Close()) // UDP has no connections to wait for
		return
	}
	chains := l.releaseChains()
	for _, c := range chains {
		if c.filter != nil {
			c.filter.drain()
		}
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.deps.DrainTime)
	s.draining.Go(func() {
		defer cancel()
		if l.successor.Load() == nil {
			l.waiting.drain(ctx) // before the chains that these connections go to
		}
		var wg sync.WaitGroup
		for _, c := range chains {
			wg.Go(func() { s.logged(c.drain(ctx)) })
		}
		wg.Wait()
	})
}

// releaseSockets closes the sockets that no other listener has.
func (l *Listener) releaseSockets() {
	for _, s := range l.sockets {
		if s.users--; s.users == 0 {
			s.close()
		}
	}
}

// releaseChains returns the filter chains that no other listener has.
func (l *Listener) releaseChains() []*chain {
	var last []*chain
	for _, c := range l.chains {
		if c.users--; c.users == 0 {
			last = append(last, c)
		}
	}
	return last
}

// listenerOf returns the listener that a redirected connection is for, with the connection among those that wait there; nil if there
// is none.
func (s *Set) listenerOf(c *conn) *Listener {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var best *Listener
	bestFit := fitNone
	for _, l := range s.active {
		for _, a := range l.addresses {
			if fit := a.takes(c.local); fit > bestFit {
				best, bestFit = l, fit
			}
		}
	}
	if best == nil || !best.waiting.add(c) {
		return nil
	}
	return best
}

// Drain stops accepting and drains all connections. It returns when the last one is closed, after the drain time at the latest.
func (s *Set) Drain() {
	s.mu.Lock()
	for _, l := range s.prepared {
		s.discard(l)
	}
	for name, l := range s.active {
		delete(s.active, name)
		s.retire(l)
	}
	s.mu.Unlock()
	s.draining.Wait()
}

// Close stops accepting and closes all connections. Nothing can be prepared after it.
func (s *Set) Close() {
	s.close()
	s.Drain()
}

func (s *Set) logged(err error) {
	if err != nil {
		s.deps.Logger.Error("A filter didn't close properly", "err", err)
	}
}
