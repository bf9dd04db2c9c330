package cache

import "errors"

// maxSubscribed bounds what a client may name in all types together, in bytes, of which each name takes nameCost more than it has. It is
// room for about 100,000 names and the versions that the client has of them.
const (
	maxSubscribed = 32 << 20
	nameCost      = 64
)

// ErrTooMany is the end of a stream that subscribes to more than one may.
var ErrTooMany = errors.New("the stream names more resources than one may, which is about 100,000: subscribe to all with \"*\"")

// subscription is what a delta client subscribes to of a type, after all its requests (the protocol's section "How the client
// specifies what resources to return").
type subscription struct {
	wildcard bool
	// legacy: the client has not named anything yet, and so subscribes to everything.
	legacy bool
	names  map[string]struct{}
	// has are the versions that the client says it has, until it has been answered. Empty is one that it doesn't have.
	has map[string]string
	// size is what both take, in bytes.
	size int
}

// newSubscription returns the one of a first request. In types that have legacy wildcards, naming nothing is asking for everything.
func newSubscription(legacy bool, subscribe, unsubscribe []string, has map[string]string) subscription {
	s := subscription{wildcard: legacy && len(subscribe) == 0, legacy: legacy, has: has}
	for name, version := range has {
		s.size += size(name, version)
	}
	s.update(subscribe, unsubscribe)
	return s
}

// update takes what a request says. The wildcard of who didn't name anything stays until "*" is unsubscribed from.
func (s *subscription) update(subscribe, unsubscribe []string) {
	if s.legacy && len(subscribe) == 0 {
		return
	}
	s.legacy = false
	for _, name := range subscribe {
		if name == "*" {
			s.wildcard = true
			continue
		}
		if s.names == nil {
			s.names = map[string]struct{}{}
		}
		if _, ok := s.names[name]; !ok {
			s.names[name] = struct{}{}
			s.size += size(name)
		}
	}
	for _, name := range unsubscribe {
		if name == "*" {
			s.wildcard = false
			continue
		}
		if version, ok := s.has[name]; ok {
			delete(s.has, name)
			s.size -= size(name, version)
		}
		if _, ok := s.names[name]; !ok {
			continue
		}
		delete(s.names, name)
		s.size -= size(name)
		if s.wildcard {
			// It has to be told what becomes of it (the protocol's section "Unsubscribing From Resources").
			if s.has == nil {
				s.has = map[string]string{}
			}
			s.has[name] = ""
			s.size += size(name)
		}
	}
}

// answered forgets what the client says it has.
func (s *subscription) answered() {
	for name, version := range s.has {
		s.size -= size(name, version)
	}
	s.has = nil
}

// size is what a name takes, with what else belongs to it.
func size(parts ...string) int {
	n := nameCost
	for _, part := range parts {
		n += len(part)
	}
	return n
}

// knows reports whether the client has to be answered that asked for a name: it still subscribes to it, or is told what becomes of it.
func (s *subscription) knows(name string) bool {
	if _, ok := s.names[name]; ok {
		return true
	}
	_, ok := s.has[name]
	return ok && s.wildcard
}

// IsWildcard implements xdscache.Subscription.
func (s *subscription) IsWildcard() bool { return s.wildcard }

// SubscribedResources implements xdscache.Subscription.
func (s *subscription) SubscribedResources() map[string]struct{} { return s.names }

// ReturnedResources implements xdscache.Subscription.
func (s *subscription) ReturnedResources() map[string]string { return s.has }
