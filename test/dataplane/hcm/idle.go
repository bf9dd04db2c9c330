package hcm

import (
	"sync"
	"time"
)

// idleTimer ends a stream on which nothing moves.
type idleTimer struct {
	mu      sync.Mutex
	timeout time.Duration // 0: none
	timer   *time.Timer
	stopped bool
	fire    func()
}

func newIdleTimer(timeout time.Duration, fire func()) *idleTimer {
	t := &idleTimer{fire: fire}
	t.set(timeout)
	return t
}

// set changes the time, and starts it.
func (t *idleTimer) set(timeout time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
	t.timeout = timeout
	if timeout > 0 && !t.stopped {
		t.timer = time.AfterFunc(timeout, t.fire)
	}
}

// touch says that something has moved.
func (t *idleTimer) touch() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil && t.timer.Stop() {
		t.timer.Reset(t.timeout)
	}
}

func (t *idleTimer) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	if t.timer != nil {
		t.timer.Stop()
	}
}
