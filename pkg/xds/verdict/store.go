package verdict

import (
	"cmp"
	"context"
	"crypto/cipher"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/cache"
)

// Prefix is below what the records of servers are in etcd that store their objects under storagePrefix. It is beside that, so
// that no record is ever taken for an object.
func Prefix(storagePrefix string) string { return storagePrefix + ".xds/rejections/" }

// Cache is what a replica serves its clients; a *cache.Cache.
type Cache interface {
	Park(scope string, name cache.Name, version string, good *cache.Resource, needs ...*cache.Resource)
	Unpark(scope string, name cache.Name, version string)
	// Needs returns the clusters and endpoints that a resource uses, as those see them who are served it instead of another version.
	Needs(scope string, r *cache.Resource) []*cache.Resource
	// Version returns the version of a resource that is published in a scope, be it parked or not; empty if there is none.
	Version(scope string, name cache.Name) string
}

// Config is what a Store is made of.
type Config struct {
	// Client reaches the etcd that the replicas share.
	Client *clientv3.Client
	// Prefix is below what the records are, with a slash at its end; see the function of that name.
	Prefix string
	// Cache is where the rejected versions are parked.
	Cache Cache
	// Key seals the good versions of Secrets, and is the same on all replicas: 32 bytes, for AES-256. Without one (nil), they aren't
	// stored.
	Key []byte
}

// Store is the records, as this replica knows them. It is made by New and works while Run does.
type Store struct {
	client          *clientv3.Client
	cache           Cache
	sealer          cipher.AEAD
	records, chunks string // prefixes of keys
	limits          limits
	pace            pace
	leading         atomic.Int32

	// told has an entry when there is one in reports or lifts.
	told   chan struct{}
	synced chan struct{}

	mu sync.Mutex
	// reports and lifts are what Run has not taken yet: what was rejected, and the ids of records that are to be removed.
	reports  map[string]*report
	lifts    map[string]struct{}
	snapshot []Record // not written to

	followers followers

	// What is below is Run's. Maps are by the ids of records, where nothing else is said.

	// revision is the one of etcd that entries are of; 0 if there is no telling.
	revision int64
	entries  map[string]*entry
	// own are the rejections by clients of this replica of what it publishes.
	own map[string]*report
	// lifted are the records to be removed, with the revisions at which they were created.
	lifted map[string]int64
	// gone are records that are no more, although this replica hasn't published another version than they are about.
	gone map[string]goneRecord
	// orphans are good versions in etcd that no record refers to, and since when.
	orphans map[orphan]time.Time
	swept   time.Time // when they were looked for
	// complaints are keys about which something has been logged.
	complaints map[string]bool
	// away says that it has been logged that the records can't be followed, and failing that something can't be written, and that
	// this hasn't changed since.
	away, failing bool
}

// limits bound what is stored.
type limits struct{ records, bytes int }

// pace is how often Run does what it does without being asked to, and how long it waits.
type pace struct {
	// write is how often it is looked for what there is to be written. It is also the time between the first two writes of a record
	// by this replica, or tries of one. The next ones are twice as far apart each, up to maxPauses times that.
	write time.Duration
	// settle is how long a record may be gone before this replica acts on it, so that what made another one remove it, a newer
	// version, arrives here too.
	settle time.Duration
	// forget is for how long the elected replica hasn't published a version when it removes its record.
	forget time.Duration
	// retry is how long it waits when etcd has failed.
	retry time.Duration
}

// entry is a record in etcd.
type entry struct {
	*stored
	replacement
	// created and modified are the revisions at which the record was created and last written.
	created, modified int64
	// bytes is the size of the record itself.
	bytes int
	// idle is since when the elected replica hasn't published the version, or has waited for another one to say that it does; zero
	// if it publishes it.
	idle time.Time
}

type goneRecord struct {
	scope   string
	name    cache.Name
	version string
	since   time.Time
}

// report is what clients of this replica said.
type report struct {
	cache.Rejection
	nodes       map[uint64]struct{} // hashes of their ids
	more        bool                // nodes than there is room for
	first, last time.Time
	// unwritten says that etcd isn't known to have all of it.
	unwritten bool
	// withoutGood says that its good version can't be stored.
	withoutGood bool
	// chunks is what the good version was called that this replica tried to store last; see storedGood.
	chunks string
	// created is the revision at which its record was created; 0 if that isn't known.
	created int64
	// next is when it may be written again, and pause how long it was from the last time to then.
	next  time.Time
	pause time.Duration
}

// New returns a Store that doesn't know anything before it runs. An error is about the key.
func New(c Config) (*Store, error) {
	sealer, err := newSealer(c.Key)
	if err != nil {
		return nil, err
	}
	return &Store{
		client: c.Client, cache: c.Cache, sealer: sealer,
		records: c.Prefix + "records/", chunks: c.Prefix + "chunks/",
		limits: limits{records: 1000, bytes: 64 << 20},
		pace:   pace{write: time.Second, settle: 5 * time.Second, forget: time.Minute, retry: time.Second},
		told:   make(chan struct{}, 1), synced: make(chan struct{}),
		reports: map[string]*report{}, lifts: map[string]struct{}{},
		entries: map[string]*entry{}, own: map[string]*report{}, lifted: map[string]int64{}, gone: map[string]goneRecord{},
		orphans: map[orphan]time.Time{}, complaints: map[string]bool{},
	}, nil
}

// WaitForSync waits until the records that were in etcd when Run began are parked. Before that, nothing should be served. An
// error says that ctx has ended.
func (s *Store) WaitForSync(ctx context.Context) error {
	select {
	case <-s.synced:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Reject takes note of a rejection by a client with a node id, and returns at once. It is for cache.Cache.OnReject.
func (s *Store) Reject(r cache.Rejection, node string) {
	id, now := recordID(r.Scope, r.Name, r.Version), time.Now().UTC()
	r.Message = strings.ToValidUTF8(r.Message[:min(len(r.Message), maxMessage)], "")
	r.Node = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reports[id] == nil {
		if len(s.reports) >= s.limits.records {
			return // until Run has taken them
		}
		s.reports[id] = &report{Rejection: r, nodes: map[uint64]struct{}{}, first: now}
	}
	s.reports[id].merge(&report{Rejection: r, nodes: map[uint64]struct{}{xxhash.Sum64String(node): {}}, last: now})
	s.tell()
}

// Lifted says that this replica had published a version that is parked, and now publishes another one, or none: its record, if there
// is one, is removed. It returns at once. It is for cache.Cache.OnLift.
func (s *Store) Lifted(scope string, name cache.Name, version string) {
	id := recordID(scope, name, version)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.reports, id)
	s.lifts[id] = struct{}{}
	s.tell()
}

func (s *Store) tell() {
	select {
	case s.told <- struct{}{}:
	default:
	}
}

// merge adds what is in a later report of the same.
func (r *report) merge(later *report) {
	before, hadMore := len(r.nodes), r.more
	r.more = r.more || later.more
	for node := range later.nodes {
		if _, known := r.nodes[node]; known {
			continue
		}
		if len(r.nodes) >= maxNodes {
			r.more = true
			break
		}
		r.nodes[node] = struct{}{}
	}
	r.last = later.last
	r.unwritten = r.unwritten || len(r.nodes) != before || r.more != hadMore
	if r.Good == nil && later.Good != nil {
		r.Good, r.unwritten, r.next = later.Good, true, time.Time{} // new clients wait for it
	}
}

// Lead has this replica remove, until ctx ends, the records of versions that it hasn't published for a minute, and what replicas
// that died while they stored something have left behind. It is for the elected one.
func (s *Store) Lead(ctx context.Context) {
	s.leading.Add(1)
	defer s.leading.Add(-1)
	<-ctx.Done()
}

// Records returns all records, by scope, type, name and version.
func (s *Store) Records() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.snapshot)
}

// publish tells the followers of what the entries are now.
func (s *Store) publish() {
	records := make([]Record, 0, len(s.entries))
	for _, e := range s.entries {
		records = append(records, e.record(e.good))
	}
	slices.SortFunc(records, func(a, b Record) int {
		return cmp.Or(
			cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Name.TypeURL, b.Name.TypeURL),
			cmp.Compare(a.Name.Name, b.Name.Name), cmp.Compare(a.Version, b.Version),
		)
	})
	s.mu.Lock()
	s.snapshot = records
	s.mu.Unlock()
	s.followers.tell(records)
}

// Follow calls changed with all records, as Records returns them, now and whenever they are others, until stop is called. The
// calls follow one another, and hold up what comes after them; changed must not write to the records, or call Follow or stop.
func (s *Store) Follow(changed func([]Record)) (stop func()) {
	return s.followers.add(changed, s.Records)
}

// followers are who is told of changes.
type followers struct {
	mu   sync.Mutex
	all  map[int]func([]Record)
	next int
}

func (f *followers) add(changed func([]Record), now func() []Record) (remove func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all = map[int]func([]Record){}
	}
	id := f.next
	f.next++
	f.all[id] = changed
	changed(now())
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.all, id)
	}
}

func (f *followers) tell(records []Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(f.all)) {
		f.all[id](records)
	}
}

// Run reads the records, parks the versions that they are about, follows them and writes what Reject is told, until ctx ends.
func (s *Store) Run(ctx context.Context) {
	logger := klog.FromContext(ctx)
	for ctx.Err() == nil {
		err := s.serve(ctx)
		if ctx.Err() != nil {
			return
		}
		// An etcd that is away is reported once, and not by each try to reach it.
		if !s.away {
			logger.Error(err, "Following in etcd what xDS clients have rejected; will try again")
		}
		s.away = true
		select {
		case <-time.After(s.pace.retry):
		case <-ctx.Done():
		}
	}
}
