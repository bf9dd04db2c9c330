package fleet

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/server"
)

const (
	// leaseSeconds is how long what a replica has reported stays in etcd when nothing is heard of it.
	leaseSeconds = 15
	// askTimeout bounds how long an answer of etcd is waited for.
	askTimeout = 5 * time.Second
	// retryAfter is how long to wait when etcd can't be reached.
	retryAfter = time.Second
	// withdrawTimeout bounds how long a replica that stops may take to withdraw its reports. Then its lease runs out.
	withdrawTimeout = 2 * time.Second
)

// A Report is what a replica says of the nodes of a scope that are connected to it.
type Report struct {
	Replica string `json:"replica"`
	// Scope is that of the xDS cache.
	Scope string `json:"scope"`
	// Version is that of the content of the scope, as the replica has published it. It is equal on all replicas that have
	// published the same.
	Version string `json:"version"`
	// Nodes is how many there are, Current how many of them have acknowledged all of that version that they subscribe to, and
	// Rejecting how many have rejected some of it. A client that has a stream for each type counts once for each.
	Nodes     int `json:"nodes"`
	Current   int `json:"current"`
	Rejecting int `json:"rejecting"`
	// New and Late are how many of the others have only just connected, and how many haven't been current for long (cache.Delivery). A
	// replica that doesn't count them, because it is of an older release, has none.
	New  int `json:"new,omitempty"`
	Late int `json:"late,omitempty"`
}

// Nodes has the nodes that are connected to this replica. An xDS server does.
type Nodes interface {
	// Follow has changed called for each node, and again whenever something about it has changed or it is gone, until stop is
	// called: one call at a time for each node, in order.
	Follow(changed func(node server.NodeInfo, gone bool)) (stop func())
}

// Deliveries counts the nodes that are connected to this replica. The xDS cache does.
type Deliveries interface {
	Delivery(scope string) cache.Delivery
}

// Objects stores the EnvoyNodes. A registry.Store does.
type Objects interface {
	// ListAll returns all of them, an EnvoyNodeList.
	ListAll(ctx context.Context, options metav1.ListOptions) (runtime.Object, error)
	// Put calls update with a copy of the stored object, or with a new one, and writes what update made of it. If update returns an
	// error, nothing is written, and Put returns that error. On a conflict update is called again.
	Put(ctx context.Context, name types.NamespacedName, update func(runtime.Object) error) error
	// Remove deletes an object, if check, called with it as it is stored, returns no error. One that isn't there is no error.
	Remove(ctx context.Context, name types.NamespacedName, check func(runtime.Object) error) error
}

// Prefix is below what replicas report in etcd that store their objects under storagePrefix. It is beside that, so that no report
// is ever taken for an object.
func Prefix(storagePrefix string) string { return storagePrefix + ".xds/nodes/" }

// Config is what a Store works with.
type Config struct {
	// Client reaches the etcd that the replicas share, and Prefix (of the function of that name) is below what they store there.
	Client *clientv3.Client
	Prefix string
	// Replica is the name of this replica. No two have the same one at a time. One that starts again should have the name that it
	// had before, so that it finds at once what it has left behind.
	Replica string
	// Nodes and Deliveries tell of what is connected to this replica. Nil if nothing can be.
	Nodes      Nodes
	Deliveries Deliveries
	Objects    Objects
}

// Store reports what is connected to this replica, and hears what others report. It is made by New and works while Run does.
type Store struct {
	pace

	mu        sync.Mutex
	followers []func(scope string, reports []Report)
	changed   map[string]struct{} // scopes of which the reporter hasn't been told
	wake      chan struct{}       // has an entry when there are some
}

// pace is how fast things are written.
type pace struct {
	// settle is how long the first changes of a Report are waited for, so that it says more, and interval how long it is at least
	// until the next one.
	settle, interval time.Duration
	// linger is how long a node that is gone may take to come back, here or elsewhere, before its EnvoyNode is removed.
	linger time.Duration
}

// New returns a Store that knows nothing yet.
func New() *Store {
	return &Store{
		pace:    pace{settle: 20 * time.Millisecond, interval: time.Second, linger: 10 * time.Second},
		changed: map[string]struct{}{}, wake: make(chan struct{}, 1),
	}
}

// Delivered says that what Deliveries say of a scope has changed. It is quick, and may be called at any time.
func (s *Store) Delivered(scope string) {
	s.mu.Lock()
	s.changed[scope] = struct{}{}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default: // it is awake
	}
}

// take returns the scopes that Delivered was called for since the last time.
func (s *Store) take() map[string]struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.changed
	s.changed = map[string]struct{}{}
	return taken
}

// Follow has changed called with all replicas' Reports of a scope, whenever there are others than before: one call at a time, in
// order, the Reports sorted by replica, each with some nodes. Those of this replica are among them when they are in etcd. changed
// must be quick and not write to the Reports. Call Follow before Run.
func (s *Store) Follow(changed func(scope string, reports []Report)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.followers = append(s.followers, changed)
}

// Run reports and hears until ctx ends. When it returns, the reports of this replica are withdrawn, if etcd was there to take
// that, and otherwise go with its lease.
func (s *Store) Run(ctx context.Context, config Config) {
	registerMetrics()
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithValues("replica", config.Replica))
	roster := newRoster(s.pace, config)
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { roster.run(ctx) })
	running.Go(func() { newListener(s, config, roster).run(ctx) })
	newReporter(s, config, roster).run(ctx)
}

// directory is what the keys of this package in etcd begin with: that of a replica's presence is followed by its name, those of
// its Reports also by a slash and their scope. All of them are bound to the replica's lease.
func (c *Config) directory() string { return strings.TrimSuffix(c.Prefix, "/") + "/" }

func (c *Config) presence() string { return c.directory() + url.PathEscape(c.Replica) }

func (c *Config) report(scope string) string { return c.presence() + "/" + scope }

// parse returns the replica, and for Reports the scope, of a key in etcd.
func (c *Config) parse(key []byte) (replica, scope string, ok bool) {
	rest, ok := strings.CutPrefix(string(key), c.directory())
	escaped, scope, _ := strings.Cut(rest, "/")
	replica, err := url.PathUnescape(escaped)
	return replica, scope, ok && err == nil
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
