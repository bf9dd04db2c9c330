package verdict

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// attempts is how often a record is written that others write at the same time, before it is left for later.
const attempts = 5

// take takes what Reject and Lifted were told.
func (s *Store) take() {
	s.mu.Lock()
	reports, lifts := s.reports, s.lifts
	s.reports, s.lifts = map[string]*report{}, map[string]struct{}{}
	s.mu.Unlock()
	for id := range lifts { // before what has been rejected again since
		if e := s.entries[id]; e != nil {
			s.lifted[id] = e.created
		} else if own := s.own[id]; own != nil && own.created != 0 {
			s.lifted[id] = own.created
		}
		delete(s.own, id)
		delete(s.gone, id)
	}
	for id, r := range reports {
		if own := s.own[id]; own != nil {
			own.merge(r)
			continue
		}
		if len(s.own) >= s.limits.records {
			delete(s.own, s.oldestOwn())
		}
		s.own[id] = r
	}
}

func (s *Store) oldestOwn() string {
	return slices.MinFunc(slices.Collect(maps.Keys(s.own)), func(a, b string) int { return s.own[a].first.Compare(s.own[b].first) })
}

// write removes the records of what is lifted, and stores what clients of this replica have said and etcd isn't known to have.
func (s *Store) write(ctx context.Context) error {
	for _, id := range slices.Sorted(maps.Keys(s.lifted)) {
		if err := s.remove(ctx, id, s.lifted[id]); err != nil {
			return err
		}
		delete(s.lifted, id)
	}
	for _, id := range slices.Sorted(maps.Keys(s.own)) {
		if r := s.own[id]; r.unwritten {
			if err := s.store(ctx, id, r); err != nil {
				return fmt.Errorf("storing what an xDS client has rejected: %w", err)
			}
		}
	}
	return nil
}

// remove removes a record that was created at a revision, unless it is another one by now.
func (s *Store) remove(ctx context.Context, id string, created int64) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(s.records+id), "=", created)).
		Then(clientv3.OpDelete(s.records+id), s.dropGoods(id)).Commit()
	if err != nil {
		return fmt.Errorf("removing the record of what xDS clients had rejected: %w", err)
	}
	return nil
}

// store writes a report into its record, which is made if there is none.
func (s *Store) store(ctx context.Context, id string, r *report) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for range attempts {
		current, err := s.client.Get(ctx, s.records+id)
		if err != nil {
			return err
		}
		d := draft{id: id, record: &stored{
			Scope: r.Scope, Type: r.Name.TypeURL, Name: r.Name.Name, Version: r.Version, Message: r.Message, First: r.first, Last: r.last,
		}}
		if len(current.Kvs) > 0 {
			d.revision = current.Kvs[0].ModRevision
			if existing, err := decode(id, current.Kvs[0].Value); err == nil {
				d.record, r.created = existing, current.Kvs[0].CreateRevision
			}
		} else if err := s.makeRoom(ctx); err != nil {
			return err
		}
		if !d.add(r) {
			r.unwritten = false
			return nil
		}
		if done, err := s.put(ctx, d, r); done || err != nil {
			return err
		}
	}
	return nil // others write it all the time: later
}

// draft is a record that is to be written.
type draft struct {
	id     string
	record *stored
	// revision at which the record was written that it replaces; 0 if there was none.
	revision int64
}

// add adds a report to a record, and says whether it is another one then, apart from its good version.
func (d *draft) add(r *report) (changed bool) {
	before := len(d.record.Nodes)
	d.record.Nodes = d.record.Nodes.with(slices.Sorted(maps.Keys(r.nodes)))
	if r.first.Before(d.record.First) {
		d.record.First = r.first
	}
	if r.last.After(d.record.Last) {
		d.record.Last = r.last
	}
	return d.revision == 0 || len(d.record.Nodes) != before || d.record.Good == nil && r.Good != nil && !r.withoutGood
}

// put writes a draft, if nobody else wrote the record meanwhile.
func (s *Store) put(ctx context.Context, d draft, r *report) (done bool, err error) {
	conditions := []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(s.records+d.id), "=", d.revision)}
	var written *storedGood
	if d.record.Good == nil && r.Good != nil && !r.withoutGood {
		written, err = s.writeGood(ctx, r.Good, d.id)
		var away unreachable
		if errors.As(err, &away) {
			return false, err
		}
		if err != nil {
			r.withoutGood = true
			s.complain(ctx, d.id, err, "Storing what xDS clients are served instead of what they have rejected; a restart loses it",
				"scope", r.Scope, "type", r.Name.TypeURL, "name", r.Name.Name)
		} else {
			d.record.Good = written
			// They aren't taken for garbage, or are made again.
			conditions = append(conditions, clientv3.Compare(clientv3.CreateRevision(s.chunkKey(d.id, written, 0)), ">", 0))
		}
	}
	result, err := s.client.Txn(ctx).If(conditions...).Then(clientv3.OpPut(s.records+d.id, string(d.record.encode()))).Commit()
	if err != nil {
		return false, err
	}
	if result.Succeeded {
		if d.revision == 0 {
			r.created = result.Header.Revision
		}
		r.unwritten = false
		return true, nil
	}
	if written != nil {
		_, err = s.client.Do(ctx, s.dropGoods(d.id, written.Chunks))
	}
	return false, err
}

// makeRoom removes the oldest records as long as there are too many for one more.
func (s *Store) makeRoom(ctx context.Context) error {
	records, bytes := s.size()
	oldest := slices.SortedFunc(maps.Keys(s.entries), func(a, b string) int {
		return s.entries[a].First.Compare(s.entries[b].First)
	})
	for _, id := range oldest {
		if !s.limits.full(records, bytes) {
			return nil
		}
		e := s.entries[id]
		if err := s.remove(ctx, id, e.created); err != nil {
			return err
		}
		records, bytes = records-1, bytes-e.size()
	}
	return nil
}

func (l limits) full(records, bytes int) bool { return records >= l.records || bytes >= l.bytes }

// size is what is stored.
func (s *Store) size() (records, bytes int) {
	for _, e := range s.entries {
		bytes += e.size()
	}
	return len(s.entries), bytes
}

func (e *entry) size() int {
	if e.Good == nil {
		return 0
	}
	return e.Good.Size
}
