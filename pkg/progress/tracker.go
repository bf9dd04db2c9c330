package progress

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/klog/v2"
)

const (
	// pageSize is how many keys are listed at once.
	pageSize = 1000
	// askAgain is how long to wait for the progress of the watch before it is asked for again: etcd doesn't answer while the
	// watch has events to catch up with, and a connection that is lost takes the question with it.
	askAgain = 50 * time.Millisecond
	// retryAfter is how long to wait before a watch that has failed is begun again.
	retryAfter = 500 * time.Millisecond
)

// Tracker follows what is stored of some kinds K. It is made by New and works while Run does.
type Tracker[K comparable] struct {
	client *clientv3.Client
	root   string
	// prefixes are what the keys of the objects of each kind begin with.
	prefixes map[K]string
	// asked has an entry when the progress of the watch is asked for.
	asked chan struct{}

	mu sync.Mutex
	// at is the revision up to which the watch has delivered everything; 0 if there is no telling.
	at int64
	// revisions are those at which each kind was changed last, until at.
	revisions map[K]uint64
	// advanced is closed when at is another one.
	advanced chan struct{}
}

// New returns a Tracker of kinds that are stored below root, each below a prefix of its own: the keys of objects begin with
// the prefix and a slash, as the prefix itself begins with root and a slash.
func New[K comparable](client *clientv3.Client, root string, prefixes map[K]string) *Tracker[K] {
	t := &Tracker[K]{
		client: client, root: directory(root), prefixes: map[K]string{},
		asked: make(chan struct{}, 1), advanced: make(chan struct{}),
	}
	for kind, prefix := range prefixes {
		t.prefixes[kind] = directory(prefix)
	}
	return t
}

func directory(prefix string) string { return strings.TrimSuffix(prefix, "/") + "/" }

// Revisions returns the revision at which each kind was changed last, by a deletion too, by anyone: as of the moment of the
// call, or later. Kinds of which there is nothing are not in the map. It waits for Run to know, and needs one read of etcd
// and, if there were changes to other things than these kinds, an answer on the connection of the watch.
//
// An etcd before 3.5.8 or 3.4.25 may say that the watch has come further than it has (etcd issue 15220). Then the revision of
// a kind may be too low, as if the last change had come at the same time as the call.
func (t *Tracker[K]) Revisions(ctx context.Context) (map[K]uint64, error) {
	// There is no such key, and need not be: the answer says at which revision etcd is. It is linearizable.
	now, err := t.client.Get(ctx, t.root, clientv3.WithCountOnly())
	if err != nil {
		return nil, fmt.Errorf("asking etcd for its revision: %w", err)
	}
	for {
		revisions, advanced := t.until(now.Header.Revision)
		if revisions != nil {
			return revisions, nil
		}
		select {
		case t.asked <- struct{}{}:
		default: // it is asked for already
		}
		select {
		case <-advanced:
		case <-time.After(askAgain):
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the watch to be at etcd's revision: %w", context.Cause(ctx))
		}
	}
}

// until returns the revisions, if the watch is at the given one, or else what is closed when it is further than now.
func (t *Tracker[K]) until(revision int64) (map[K]uint64, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at >= revision {
		return maps.Clone(t.revisions), nil
	}
	return nil, t.advanced
}

// Run follows etcd until ctx ends.
func (t *Tracker[K]) Run(ctx context.Context) {
	logger := klog.FromContext(ctx)
	failed := false
	for ctx.Err() == nil {
		before := t.at
		err := t.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		// An etcd that is away is reported once, and not by each try to reach it.
		if t.at != before || !failed {
			logger.Error(err, "Following changes in etcd; will try again, and until then writes are judged without what other replicas have just stored")
		}
		failed = true
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
		}
	}
}

// follow watches until that fails. It goes on where it was, or begins with a list if it was nowhere, or where etcd has
// forgotten what came next.
func (t *Tracker[K]) follow(ctx context.Context) error {
	if t.at == 0 {
		if err := t.list(ctx); err != nil {
			return err
		}
	}
	// With a watcher of its own, the watch has a connection to itself: etcd tells the progress of all watches on a connection
	// together, if all are as far. A member of etcd that has lost the others must not keep it.
	watcher := clientv3.NewWatcher(t.client)
	defer watcher.Close()
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	// The values of the objects come along. Etcd has no way to leave them out.
	events := watcher.Watch(ctx, t.root, clientv3.WithPrefix(), clientv3.WithRev(t.at+1), clientv3.WithProgressNotify())
	for {
		select {
		case response, ok := <-events:
			if !ok {
				return errors.New("the watch has ended")
			}
			if err := response.Err(); err != nil {
				if errors.Is(err, rpctypes.ErrCompacted) {
					t.begin(0, nil)
				}
				return fmt.Errorf("watching: %w", err)
			}
			t.advance(&response)
		case <-t.asked:
			// The client finds the connection by the context's metadata: another context would open another connection.
			if err := watcher.RequestProgress(ctx); err != nil {
				return fmt.Errorf("asking for the progress of the watch: %w", err)
			}
		}
	}
}

// advance takes in what the watch has delivered.
func (t *Tracker[K]) advance(response *clientv3.WatchResponse) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := response.Header.GetRevision() // of etcd: how far the watch is, if there are no events
	for _, event := range response.Events {
		at = event.Kv.ModRevision // of a deletion too; there may be more to come until the header's
		t.note(t.revisions, event.Kv.Key, at)
	}
	t.proceed(max(at, t.at))
}

// list finds the revisions of what is stored. Deletions leave nothing behind that could be listed: for a moment, after the
// start and after etcd has compacted what the watch had still to deliver, one that was the last change of its kind goes
// unnoticed. The watches of others that missed as much begin with a list too, in which nothing that was deleted is left.
func (t *Tracker[K]) list(ctx context.Context) error {
	revisions := map[K]uint64{}
	var at int64
	next, end := t.root, clientv3.GetPrefixRangeEnd(t.root)
	for {
		page, err := t.client.Get(ctx, next, clientv3.WithRange(end), clientv3.WithLimit(pageSize), clientv3.WithKeysOnly(), clientv3.WithRev(at))
		if err != nil {
			return fmt.Errorf("listing: %w", err)
		}
		if at == 0 {
			at = page.Header.Revision
		}
		for _, kv := range page.Kvs {
			t.note(revisions, kv.Key, kv.ModRevision)
		}
		if !page.More || len(page.Kvs) == 0 {
			t.begin(at, revisions)
			return nil
		}
		next = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
}

// note has revisions say that what has a key was changed at a revision.
func (t *Tracker[K]) note(revisions map[K]uint64, key []byte, revision int64) {
	for kind, prefix := range t.prefixes {
		if strings.HasPrefix(string(key), prefix) {
			revisions[kind] = max(revisions[kind], uint64(revision))
			return
		}
	}
}

// begin tells Revisions what there is to know at a revision; nothing at 0.
func (t *Tracker[K]) begin(at int64, revisions map[K]uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.revisions = revisions
	t.proceed(at)
}

// proceed takes note of how far the watch is, with t.mu held.
func (t *Tracker[K]) proceed(at int64) {
	t.at = at
	close(t.advanced)
	t.advanced = make(chan struct{})
}
