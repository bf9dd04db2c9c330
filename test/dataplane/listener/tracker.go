package listener

import (
	"context"
	"net"
	"sync"
)

// tracker knows the connections that are open, so that all of them can be waited for and closed.
type tracker struct {
	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
	empty  chan struct{} // set by drain; closed when the last connection has gone
}

func newTracker() *tracker { return &tracker{open: map[net.Conn]struct{}{}} }

// add adds a connection, or returns false because it is too late for that.
func (t *tracker) add(c net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.open[c] = struct{}{}
	return true
}

// remove removes a connection that nobody serves any more.
func (t *tracker) remove(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, c)
	t.closeIfEmpty()
}

// closeIfEmpty ends a drain. The caller holds the lock.
func (t *tracker) closeIfEmpty() {
	if t.empty == nil || len(t.open) > 0 {
		return
	}
	t.closed = true
	close(t.empty)
	t.empty = nil
}

// drain waits until there is no connection any more. When ctx ends, it closes those that there are. It is called once.
func (t *tracker) drain(ctx context.Context) {
	empty := make(chan struct{})
	t.mu.Lock()
	t.empty = empty
	t.closeIfEmpty()
	t.mu.Unlock()
	select {
	case <-empty:
		return
	case <-ctx.Done():
	}
	t.mu.Lock()
	t.closed = true
	for c := range t.open {
		c.Close()
	}
	t.mu.Unlock()
	<-empty
}
