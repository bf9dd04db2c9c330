package cache

import (
	"container/list"
	"time"
)

// lateAfter is how long a client is not current before it is late.
const lateAfter = 10 * time.Second

// lag is what a scope counts of its streams that aren't current, at the same cost however many they are.
type lag struct {
	// recent are those that aren't late, in the order in which they were opened or ceased to be current. If there are any, timer has the first
	// of them become late.
	recent    list.List
	timer     *time.Timer
	new, late int // as in Delivery
}

// lagging is what is counted of a stream that isn't current.
type lagging struct {
	recent    *list.Element // or nil
	new, late bool
}

// opens counts a stream that has just been opened.
func (s *scope) opens(st *Stream) {
	st.new = true
	s.lag.new++
	s.lags(st)
}

// lags counts a stream that isn't current from now on.
func (s *scope) lags(st *Stream) {
	l := &s.lag
	st.recent = l.recent.PushBack(st)
	switch {
	case l.timer == nil:
		l.timer = time.AfterFunc(lateAfter, s.overdue)
	case l.recent.Len() == 1:
		l.timer.Reset(lateAfter)
	}
}

// overtakes counts a stream no more: it is current, or closed.
func (s *scope) overtakes(st *Stream) {
	l := &s.lag
	if st.recent != nil {
		if l.recent.Remove(st.recent); l.recent.Len() == 0 {
			l.timer.Stop()
		}
	}
	if st.new {
		l.new--
	}
	if st.late {
		l.late--
	}
	st.lagging = lagging{}
}

// overdue makes those late whose time has come.
func (s *scope) overdue() {
	s.mu.Lock()
	defer s.unlock()
	l := &s.lag
	for first := l.recent.Front(); first != nil; first = l.recent.Front() {
		st := first.Value.(*Stream)
		if left := lateAfter - time.Since(st.since); left > 0 {
			l.timer.Reset(left)
			return
		}
		s.overtakes(st)
		st.late = true
		l.late++
		s.moved()
	}
}

// isKnown notes that a client isn't new: it has rejected something, or has or is served something else than what is published.
func (s *scope) isKnown(st *Stream) {
	if !st.new {
		return
	}
	st.new = false
	s.lag.new--
	s.moved()
}

// replaced notes that something else is published for the streams of a scope, so that none of them is new.
func (s *scope) replaced() {
	for e := s.lag.recent.Front(); e != nil && s.lag.new > 0; e = e.Next() {
		s.isKnown(e.Value.(*Stream))
	}
	s.moved()
}

// publishes reports whether all of some versions are what is published.
func (v *view) publishes(versions map[string]string) bool {
	for name, version := range versions {
		if e, ok := v.entry(name); !ok || e.removed || e.res.Version() != version {
			return false
		}
	}
	return true
}
