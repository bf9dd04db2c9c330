package server

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// NodeInfo is what is known of a node: of all streams that name its id and have its scope.
type NodeInfo struct {
	// ID and Cluster are what the node says of itself, escaped and cut so that they are fit to be shown.
	ID, Cluster string
	// Identity is the name of whom the node has proved to be; empty if nobody is asked.
	Identity string
	// Scope is what of the cache it gets.
	Scope string
	// Version is that of the proxy, such as "1.36.2"; empty if it doesn't say so.
	Version string
	// Protocol is "delta" or "sotw".
	Protocol string
	// Since is when the oldest of its streams began.
	Since time.Time
	// Current says that it has acknowledged everything that it subscribes to.
	Current bool
	// Acknowledged are the versions that it has acknowledged last, by type URL.
	Acknowledged map[string]string
	// Rejected are the resources of which it has rejected the version that is published.
	Rejected []cache.RejectedResource
	// Streams is how many there are.
	Streams int
}

// roster knows the nodes that are connected, and tells others what changes.
type roster struct {
	mu        sync.Mutex
	nodes     map[nodeKey][]*session // a node has one, but while it reconnects
	followers map[*follower]struct{}
}

type nodeKey struct{ scope, id string }

func (s *session) key() nodeKey { return nodeKey{s.scope, s.id} }

// follower is somebody who is told of nodes.
type follower struct {
	changed map[nodeKey]struct{} // guarded by roster.mu
	wake    chan struct{}
}

// pause is how long nodes may change until somebody who follows them is told again, and pausePerNode what is added for each of which
// they were told last: a node changes with every response that it is sent, and acknowledges.
const (
	pause        = 250 * time.Millisecond
	pausePerNode = 100 * time.Microsecond
)

// observes says that the client only looks, and is no node of the scope.
func (s *session) observes() bool { return nodes.Observes(s.node) }

// join notes a session that has a scope.
func (r *roster) join(s *session) {
	if s.observes() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.nodes == nil {
		r.nodes = map[nodeKey][]*session{}
	}
	r.nodes[s.key()] = append(r.nodes[s.key()], s)
	r.tell(s)
}

func (r *roster) leave(s *session) {
	if s.observes() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if left := slices.DeleteFunc(r.nodes[s.key()], func(other *session) bool { return other == s }); len(left) > 0 {
		r.nodes[s.key()] = left
	} else {
		delete(r.nodes, s.key())
	}
	r.tell(s)
}

// touch notes that something has changed about a session.
func (r *roster) touch(s *session) {
	if s.observes() || s.touched.Swap(true) {
		return // nobody has looked since
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell(s)
}

func (r *roster) tell(s *session) {
	for f := range r.followers {
		f.changed[s.key()] = struct{}{}
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}

// info returns what is known of a node, and whether it is connected.
func (r *roster) info(key nodeKey) (NodeInfo, bool) {
	r.mu.Lock()
	sessions := slices.Clone(r.nodes[key])
	r.mu.Unlock()
	info := NodeInfo{ID: key.id, Scope: key.scope, Streams: len(sessions)}
	for i, s := range sessions {
		s.addTo(&info, i == 0)
	}
	return info, len(sessions) > 0
}

// addTo adds a session to what is known of its node.
func (s *session) addTo(info *NodeInfo, first bool) {
	if first {
		info.Cluster, info.Version, info.Protocol = Printable(s.node.GetCluster(), maxID), s.agent, s.protocol
		info.Identity, info.Since = s.proof.name(), s.since
		info.Current, info.Acknowledged = true, map[string]string{}
	}
	info.Current = info.Current && s.stream.Current()
	maps.Copy(info.Acknowledged, s.stream.Acknowledged())
	for _, r := range s.stream.Rejected() {
		if !slices.Contains(info.Rejected, r) {
			info.Rejected = append(info.Rejected, r)
		}
	}
}

// Nodes returns the nodes that are connected, sorted by scope and id.
func (s *Server) Nodes() []NodeInfo {
	s.roster.mu.Lock()
	keys := slices.Collect(maps.Keys(s.roster.nodes))
	s.roster.mu.Unlock()
	slices.SortFunc(keys, nodeKey.compare)
	out := make([]NodeInfo, 0, len(keys))
	for _, key := range keys {
		if info, ok := s.roster.info(key); ok {
			out = append(out, info)
		}
	}
	return out
}

func (k nodeKey) compare(other nodeKey) int {
	return cmp.Or(cmp.Compare(k.scope, other.scope), cmp.Compare(k.id, other.id))
}

// Follow has changed called, one call at a time, for each node that is connected, and then for each that has changed, until stop is
// called and has returned. Of a node that is gone only ID and Scope are given. Changes within a quarter of a second are one, and
// within more if they are many.
func (s *Server) Follow(changed func(node NodeInfo, gone bool)) (stop func()) {
	f := &follower{changed: map[nodeKey]struct{}{}, wake: make(chan struct{}, 1)}
	s.roster.follow(f)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case <-f.wake:
			}
			keys := s.roster.take(f)
			for _, key := range keys {
				info, ok := s.roster.info(key)
				changed(info, !ok)
			}
			select {
			case <-quit:
				return
			case <-time.After(pause + time.Duration(len(keys))*pausePerNode):
			}
		}
	}()
	return sync.OnceFunc(func() {
		s.roster.mu.Lock()
		delete(s.roster.followers, f)
		s.roster.mu.Unlock()
		close(quit)
		<-done
	})
}

func (r *roster) follow(f *follower) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.followers == nil {
		r.followers = map[*follower]struct{}{}
	}
	r.followers[f] = struct{}{}
	for key := range r.nodes {
		f.changed[key] = struct{}{}
	}
	f.wake <- struct{}{}
}

// take returns the nodes that have changed, of which the follower is told what they are from now on.
func (r *roster) take(f *follower) []nodeKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(f.changed), nodeKey.compare)
	clear(f.changed)
	for _, key := range keys {
		for _, s := range r.nodes[key] {
			s.touched.Store(false)
		}
	}
	return keys
}
