package listener

import (
	"errors"
	"os"
	"time"
)

// serve takes a connection, which is among those that wait, through the listener filters to its filter chain. handsOff is false
// if another listener has handed it over already.
func (l *Listener) serve(c *conn, handsOff bool) {
	log := l.set.deps.Logger.With("listener", l.Name(), "remote", c.remote, "local", c.local)
	if err := l.runFilters(c); err != nil {
		c.Close()
		l.waiting.remove(c)
		log.Debug("Closed a connection", "err", err)
		return
	}
	if handsOff && l.handsOff && c.restored {
		if other := l.set.listenerOf(c); other != nil {
			if other.waiting != l.waiting { // it may be this listener, or what has taken its place
				l.waiting.remove(c)
			}
			other.serve(c, false)
			return
		}
	}
	chain := l.chooseChain(c)
	if chain == nil {
		c.Close()
		l.waiting.remove(c)
		log.Debug("Closed a connection that matches no filter chain", "serverName", c.serverName, "transport", c.transport)
		return
	}
	l.waiting.remove(c)
	defer chain.conns.remove(c)
	if err := chain.serve(c); err != nil {
		log.Debug("Closed a connection", "filterChain", chain.config.GetName(), "err", err)
	}
}

// runFilters runs the listener filters, which have a time limit in common.
func (l *Listener) runFilters(c *conn) error {
	if l.filtersTimeout > 0 {
		if err := c.SetReadDeadline(time.Now().Add(l.filtersTimeout)); err != nil {
			return err
		}
		defer c.SetReadDeadline(time.Time{})
	}
	for _, filter := range l.filters {
		err := filter(c)
		if l.continuesAnyway && errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// chooseChain gives a connection to its filter chain, which the latest listener in this place decides. It returns nil if none
// matches.
func (l *Listener) chooseChain(c *conn) *chain {
	for {
		for next := l.successor.Load(); next != nil; next = l.successor.Load() {
			l = next
		}
		chain := l.table.find(c)
		if chain == nil || chain.conns.add(c) {
			return chain
		}
		if l.successor.Load() == nil {
			return nil // it was closed while the connection waited
		}
	}
}

// restoreDst is the listener filter envoy.filters.listener.original_dst. Like Envoy's, it doesn't ask whether the connection was
// redirected: one that came to the listener's own address was going there.
func (s *Set) restoreDst(c *conn) error {
	original, err := s.deps.OriginalDst(c.Conn)
	if err != nil {
		return err
	}
	if original.IsValid() {
		c.local, c.restored = original, true
	}
	return nil
}
