package cache

import "time"

// raise has something called when the lock is given up.
func (h *history) raise(f func()) { h.events = append(h.events, f) }

func (s *scope) raiseRejected(r Rejection) {
	if f := s.cache.onReject; f != nil {
		s.raise(func() { f(r) })
	}
}

func (s *scope) raiseLifted(name Name, version string) {
	if f := s.cache.onLift; f != nil {
		s.raise(func() { f(s.name, name, version) })
	}
}

// moved tells that the Delivery of the scope may have changed.
func (s *scope) moved() {
	f := s.cache.onDelivery
	if _, told := s.told[s]; f == nil || told {
		return
	}
	s.told[s] = struct{}{}
	s.raise(func() { f(s.name) })
}

func (s *scope) raiseCurrent(after time.Duration) {
	if f := s.cache.onCurrent; f != nil {
		s.raise(func() { f(after) })
	}
}

// unlock gives up the lock, and calls the hooks, unless another goroutine is at it, which goes on then.
func (s *scope) unlock() {
	h := s.history
	for s := s; s != nil; s = s.base {
		if s.unsettled == 0 {
			s.free()
		}
	}
	for !h.calling && len(h.events) > 0 {
		events := h.events
		h.events, h.calling = nil, true
		clear(h.told)
		h.mu.Unlock()
		for _, f := range events {
			f()
		}
		h.mu.Lock()
		h.calling = false
	}
	h.mu.Unlock()
}

// free drops what nobody needs any more, now that every stream has answered.
func (s *scope) free() {
	for i := range s.tables {
		s.tables[i].free()
	}
}
