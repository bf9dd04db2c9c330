package verdict

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// tidy mends what is wrong about records, after a while in which it may mend itself.
func (s *Store) tidy(ctx context.Context, now time.Time) error {
	s.reconsider(now)
	if err := s.confirm(ctx); err != nil {
		return err
	}
	if s.leading.Load() == 0 {
		clear(s.orphans)
		return nil
	}
	if err := s.removeIdle(ctx, now); err != nil {
		return err
	}
	return s.sweep(ctx, now)
}

// reconsider decides about versions whose records another replica has removed, and which nothing newer has replaced here since. A
// version that clients of this replica reject gets a record again. Of others, nobody knows anything bad any more.
func (s *Store) reconsider(now time.Time) {
	for id, r := range s.gone {
		if now.Sub(r.since) < s.pace.settle {
			continue
		}
		delete(s.gone, id)
		if own := s.own[id]; own != nil {
			own.unwritten, own.next = !s.limits.full(s.size()), time.Time{} // else it had to make room
		} else {
			s.cache.Unpark(r.scope, r.name, r.version)
		}
	}
}

// confirm takes back that records are doubted whose versions this replica publishes.
func (s *Store) confirm(ctx context.Context) error {
	for id, e := range s.entries {
		if e.Doubted && s.isPublished(e) {
			if err := s.doubt(ctx, id, e, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeIdle removes the records of versions that haven't been published for a while: those that were replaced while no server ran, or of
// which the replica died that would have removed them. It isn't enough that this replica doesn't publish them, since it may be behind,
// or of another release: it says so in the record first, and waits as long again for another one to take that back.
func (s *Store) removeIdle(ctx context.Context, now time.Time) error {
	for _, id := range slices.Sorted(maps.Keys(s.entries)) {
		var err error
		switch e := s.entries[id]; {
		case s.isPublished(e):
			e.idle = time.Time{}
		case e.idle.IsZero():
			e.idle = now
		case now.Sub(e.idle) < s.pace.forget:
		case !e.Doubted:
			e.idle = now
			err = s.doubt(ctx, id, e, true)
		default:
			err = s.remove(ctx, id, clientv3.Compare(clientv3.ModRevision(s.records+id), "=", e.modified))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) isPublished(e *entry) bool { return s.cache.Version(e.Scope, e.key()) == e.Version }

// doubt writes into a record whether it is doubted, unless somebody else has written it meanwhile.
func (s *Store) doubt(ctx context.Context, id string, e *entry, doubted bool) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	record := *e.stored
	record.Doubted = doubted
	_, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(s.records+id), "=", e.modified)).
		Then(clientv3.OpPut(s.records+id, string(record.encode()))).Commit()
	if err != nil {
		return fmt.Errorf("asking who publishes what xDS clients have rejected: %w", err)
	}
	return nil
}

// sweep removes chunks that no record has referred to for a while: a replica died, or lost its etcd, between the two.
func (s *Store) sweep(ctx context.Context, now time.Time) error {
	if now.Sub(s.swept) < s.pace.forget {
		return nil
	}
	s.swept = now
	stored, err := s.chunksStored(ctx)
	if err != nil {
		return err
	}
	for id, e := range s.entries {
		if e.Good != nil {
			delete(stored, orphan{id, e.Good.Chunks})
		}
	}
	maps.DeleteFunc(s.orphans, func(o orphan, _ time.Time) bool { return !stored[o] })
	for o := range stored {
		since, known := s.orphans[o]
		switch {
		case !known:
			s.orphans[o] = now
		case now.Sub(since) >= s.pace.forget:
			if err := s.bury(ctx, o); err != nil {
				return fmt.Errorf("removing a good version that nothing refers to: %w", err)
			}
		}
	}
	return nil
}

// orphan is a good version in etcd that its record, if there is one, doesn't refer to.
type orphan struct{ id, chunks string }

// bury removes an orphan, if its record is what this replica knows.
func (s *Store) bury(ctx context.Context, o orphan) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var modified int64
	if e := s.entries[o.id]; e != nil {
		modified = e.modified
	}
	_, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(s.records+o.id), "=", modified)).
		Then(s.dropGoods(o.id, o.chunks)).Commit()
	return err
}

// chunksStored returns all good versions that there are in etcd.
func (s *Store) chunksStored(ctx context.Context) (map[orphan]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	keys, err := s.client.Get(ctx, s.chunks, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, fmt.Errorf("listing good versions: %w", err)
	}
	stored := map[orphan]bool{}
	for _, kv := range keys.Kvs {
		parts := strings.Split(strings.TrimPrefix(string(kv.Key), s.chunks), "/")
		if len(parts) == 3 { // else it isn't ours
			stored[orphan{parts[0], parts[1]}] = true
		}
	}
	return stored, nil
}
