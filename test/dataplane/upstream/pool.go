package upstream

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
)

// pool is the HTTP connections to a host. As in Envoy, a request that finds none free waits, first come first served, for one
// that becomes free or for a new one, whichever is first; and if a connection can't be made, all who wait fail.
type pool struct {
	cluster *Cluster
	address netip.AddrPort

	mu       sync.Mutex
	conns    []*httpConn
	waiting  []chan acquired // each with room for one
	dialing  int
	draining bool // the host is gone
}

// httpConn is a connection of a pool.
type httpConn struct {
	*http.ClientConn
	usable context.Context // ends with the connection
}

type acquired struct {
	conn *httpConn
	err  error
}

// acquire returns a connection on which there is room for a request, which is reserved.
func (p *pool) acquire(ctx context.Context) (*httpConn, error) {
	p.mu.Lock()
	if conn := p.reserve(); conn != nil {
		p.mu.Unlock()
		return conn, nil
	}
	if !p.cluster.limits.pending.take() {
		p.mu.Unlock()
		return nil, fmt.Errorf("%w: max_pending_requests", ErrOverflow)
	}
	defer p.cluster.limits.pending.release()
	mine := make(chan acquired, 1)
	p.waiting = append(p.waiting, mine)
	p.dial()
	p.mu.Unlock()
	select {
	case got := <-mine:
		return got.conn, got.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	p.waiting = slices.DeleteFunc(p.waiting, func(w chan acquired) bool { return w == mine })
	p.mu.Unlock()
	select {
	case got := <-mine: // it came at the same moment
		if got.conn != nil {
			got.conn.Release()
		}
	default:
	}
	return nil, context.Cause(ctx)
}

// reserve returns a connection with room for a request; nil if there is none. p.mu is held, as in what follows.
func (p *pool) reserve() *httpConn {
	for _, conn := range p.conns {
		if conn.Reserve() == nil {
			return conn
		}
	}
	return nil
}

// dial makes connections for those who wait: one for each, or one for all in HTTP/2. At the limit of connections, a pool
// without any makes one all the same, since nothing else would free one for it.
func (p *pool) dial() {
	wanted := len(p.waiting)
	if p.cluster.http2 != nil {
		wanted = min(wanted, 1)
	}
	for ; p.dialing < wanted; p.dialing++ {
		if !p.cluster.limits.connections.take() {
			if len(p.conns)+p.dialing > 0 {
				return
			}
			p.cluster.limits.connections.n.Add(1)
		}
		go p.connect()
	}
}

// connect makes a connection, of which whoever waits is told.
func (p *pool) connect() {
	cc, err := p.cluster.transport.NewClientConn(context.Background(), "http", p.address.String())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing--
	if err == nil && cc.Err() != nil {
		err = fmt.Errorf("%w: %w", ErrReset, cc.Err())
	}
	if err != nil {
		for _, w := range p.waiting {
			w <- acquired{err: err}
		}
		p.waiting = nil
		return
	}
	usable, end := context.WithCancel(context.Background())
	p.conns = append(p.conns, &httpConn{cc, usable})
	cc.SetStateHook(func(cc *http.ClientConn) {
		if cc.Err() != nil {
			end()
		}
		go p.update() // not here: this is called by methods that the pool calls itself
	})
	p.serve()
}

// update is called when a connection has more room, or has ended.
func (p *pool) update() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = slices.DeleteFunc(p.conns, func(c *httpConn) bool { return c.Err() != nil })
	p.serve()
}

// serve gives the room that there is to those who wait, makes connections for the rest, and lets go of what isn't needed.
func (p *pool) serve() {
	for len(p.waiting) > 0 {
		conn := p.reserve()
		if conn == nil {
			p.dial()
			return
		}
		p.waiting[0] <- acquired{conn: conn}
		p.waiting = p.waiting[1:]
	}
	if p.draining {
		for _, conn := range p.conns {
			if conn.InFlight() == 0 {
				go conn.Close() // which takes its time if the host is stuck
			}
		}
	}
}

// drain closes the connections as they become idle.
func (p *pool) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining = true
	p.serve()
}
