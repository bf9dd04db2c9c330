package verdict

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// attempts is how often a record is written that others write at the same time, before it is left for later.
	attempts = 5
	// maxPauses is how many times as long as at first is the longest pause between two writes of a record.
	maxPauses = 64
)

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

// write removes the records of what is lifted, and stores what clients of this replica have said and etcd isn't known to have. What
// fails doesn't hold up the rest, unless etcd is too slow: then the rest is for the next time.
func (s *Store) write(ctx context.Context, now time.Time) error {
	var failed []error
	for _, id := range slices.Sorted(maps.Keys(s.lifted)) {
		if err := s.remove(ctx, id, s.createdAt(id, s.lifted[id])); err != nil {
			if failed = append(failed, err); slow(err) {
				return errors.Join(failed...)
			}
			continue
		}
		delete(s.lifted, id)
	}
	for _, id := range slices.Sorted(maps.Keys(s.own)) {
		r := s.own[id]
		if !r.unwritten || now.Before(r.next) {
			continue
		}
		r.pause = min(max(2*r.pause, s.pace.write), maxPauses*s.pace.write)
		r.next = now.Add(r.pause)
		if err := s.store(ctx, id, r); err != nil {
			if failed = append(failed, fmt.Errorf("storing what an xDS client has rejected: %w", err)); slow(err) {
				break
			}
		}
	}
	return errors.Join(failed...)
}

func slow(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, rpctypes.ErrTimeout)
}

func (s *Store) createdAt(id string, revision int64) clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(s.records+id), "=", revision)
}

// remove removes a record, unless it is another one by now than a condition says.
func (s *Store) remove(ctx context.Context, id string, condition clientv3.Cmp) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	result, err := s.client.Txn(ctx).If(condition).Then(clientv3.OpDelete(s.records+id), s.dropGoods(id)).Commit()
	if err != nil {
		return fmt.Errorf("removing the record of what xDS clients had rejected: %w", err)
	}
	s.failing = false
	if result.Succeeded {
		s.lost(id) // which the watch is to tell, too
	}
	return nil
}

// store writes a report into its record, which is made if there is none.
func (s *Store) store(ctx context.Context, id string, r *report) error {
	for range attempts {
		d, err := s.draft(ctx, id, r)
		if err != nil {
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

// draft returns a record as it is in etcd, or a new one, without the chunks that this replica has stored for it in vain.
func (s *Store) draft(ctx context.Context, id string, r *report) (draft, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	d := draft{id: id, record: &stored{
		Scope: r.Scope, Type: r.Name.TypeURL, Name: r.Name.Name, Version: r.Version, Message: r.Message, First: r.first, Last: r.last,
	}}
	current, err := s.client.Get(ctx, s.records+id)
	if err != nil {
		return d, err
	}
	if len(current.Kvs) > 0 {
		d.revision = current.Kvs[0].ModRevision
		if existing, err := decode(id, current.Kvs[0].Value); err == nil {
			d.record, r.created = existing, current.Kvs[0].CreateRevision
		}
	}
	if g := d.record.Good; r.chunks == "" || g != nil && g.Chunks == r.chunks {
		return d, nil
	}
	_, err = s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(s.records+id), "=", d.revision)).
		Then(s.dropGoods(id, r.chunks)).Commit()
	if err == nil {
		r.chunks = ""
	}
	return d, err
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
	before, hadMore := len(d.record.Nodes), d.record.More
	nodes, all := d.record.Nodes.with(slices.Sorted(maps.Keys(r.nodes)))
	d.record.Nodes, d.record.More = nodes, hadMore || r.more || !all
	if r.first.Before(d.record.First) {
		d.record.First = r.first
	}
	if r.last.After(d.record.Last) {
		d.record.Last = r.last
	}
	d.record.Doubted = false
	return d.revision == 0 || len(d.record.Nodes) != before || d.record.More != hadMore || d.needsGood(r)
}

// needsGood says that a report has the good version that a record lacks.
func (d *draft) needsGood(r *report) bool {
	return d.record.Good == nil && r.Good != nil && !r.withoutGood
}

// put writes a draft, if nobody else wrote the record meanwhile.
func (s *Store) put(ctx context.Context, d draft, r *report) (done bool, err error) {
	conditions := []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(s.records+d.id), "=", d.revision)}
	var written *storedGood
	if d.revision == 0 || d.needsGood(r) {
		if err := s.makeRoom(ctx, d.id); err != nil {
			return false, err
		}
	}
	if d.needsGood(r) {
		kept := replacement{r.Good, s.cache.Needs(r.Scope, r.Good)}
		if s.cache.Version(r.Scope, r.Name) != r.Version {
			return true, nil // it is lifted, so what was good may use what isn't kept any more
		}
		if written, err = s.writeGood(ctx, kept, d.id); written != nil {
			r.chunks = written.Chunks
		}
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
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	value := d.record.encode()
	result, err := s.client.Txn(ctx).If(conditions...).Then(clientv3.OpPut(s.records+d.id, string(value))).Commit()
	if err != nil || !result.Succeeded {
		return false, err
	}
	s.failing = false
	r.unwritten = false
	if d.revision == 0 {
		r.created = result.Header.Revision
	}
	s.wrote(d, r, result.Header.Revision, len(value))
	return true, nil
}

// wrote takes in what this replica has written at a revision before the watch tells it: it counts for the limits.
func (s *Store) wrote(d draft, r *report, revision int64, bytes int) {
	e := s.entries[d.id]
	switch {
	case d.revision == 0:
		e = &entry{created: revision}
		s.entries[d.id] = e
	case e == nil || e.modified != d.revision:
		return // nor has it told what others have written
	}
	if g := d.record.Good; g != nil && g.Chunks == r.chunks {
		e.replacement = replacement{good: r.Good}
	}
	e.stored, e.modified, e.bytes = d.record, revision, bytes
}

// makeRoom removes the oldest records as long as there are too many for one more, or for more in that with an id.
func (s *Store) makeRoom(ctx context.Context, id string) error {
	if !s.limits.full(s.size()) {
		return nil
	}
	oldest := slices.SortedFunc(maps.Keys(s.entries), func(a, b string) int {
		return s.entries[a].First.Compare(s.entries[b].First)
	})
	for _, old := range oldest {
		if old == id {
			continue
		}
		if err := s.remove(ctx, old, s.createdAt(old, s.entries[old].created)); err != nil || !s.limits.full(s.size()) {
			return err
		}
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
		return e.bytes
	}
	return e.bytes + e.Good.Size
}
