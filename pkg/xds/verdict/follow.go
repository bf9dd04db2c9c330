package verdict

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/klog/v2"
)

const (
	// pageSize is how many records are read at once.
	pageSize = 20
	// callTimeout bounds one conversation with etcd.
	callTimeout = 10 * time.Second
)

// serve does what Run does until etcd fails.
func (s *Store) serve(ctx context.Context) error {
	if s.revision == 0 {
		if err := s.list(ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	events := s.client.Watch(ctx, s.records, clientv3.WithPrefix(), clientv3.WithRev(s.revision+1), clientv3.WithCreatedNotify())
	tick := time.NewTicker(s.pace.write)
	defer tick.Stop()
	var wrote time.Time
	for {
		// All that is Run's is touched here, and by what is called from here:
		//   - records change in etcd, by this replica or another one;
		//   - a client has rejected something, or a version is lifted;
		//   - it is time to try again what didn't succeed, or was too much a moment ago, and to tidy up.
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case response, ok := <-events:
			if !ok {
				return errors.New("the watch has ended")
			}
			if err := s.advance(ctx, &response); err != nil {
				return err
			}
		case <-s.told:
			s.take()
			if time.Since(wrote) < s.pace.write {
				continue
			}
			wrote = time.Now()
			s.failed(ctx, s.write(ctx, wrote))
		case now := <-tick.C:
			wrote = now
			s.failed(ctx, errors.Join(s.write(ctx, now), s.tidy(ctx, now)))
		}
	}
}

// failed logs the first of several failures to write. What failed is tried again.
func (s *Store) failed(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	if !s.failing {
		klog.FromContext(ctx).Error(err, "Writing to etcd what xDS clients have rejected; will try again")
	}
	s.failing = true
}

// list reads all records, and forgets those that are no more.
func (s *Store) list(ctx context.Context) error {
	var at int64
	found := map[string]bool{}
	next, end := s.records, clientv3.GetPrefixRangeEnd(s.records)
	for {
		page, err := s.client.Get(ctx, next, clientv3.WithRange(end), clientv3.WithLimit(pageSize), clientv3.WithRev(at))
		if err != nil {
			return fmt.Errorf("listing: %w", err)
		}
		if at == 0 {
			at = page.Header.Revision
		}
		for _, kv := range page.Kvs {
			if err := s.found(ctx, kv); err != nil {
				return err
			}
			found[s.idOf(kv)] = true
		}
		if !page.More || len(page.Kvs) == 0 {
			break
		}
		next = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
	for id := range s.entries {
		if !found[id] {
			s.lost(id)
		}
	}
	s.revision = at
	s.publish()
	select {
	case <-s.synced:
	default:
		close(s.synced)
	}
	return nil
}

// advance takes in what the watch has delivered.
func (s *Store) advance(ctx context.Context, response *clientv3.WatchResponse) error {
	if err := response.Err(); err != nil {
		if errors.Is(err, rpctypes.ErrCompacted) {
			s.revision = 0
		}
		return fmt.Errorf("watching: %w", err)
	}
	s.away = false
	for _, event := range response.Events {
		if event.Type == clientv3.EventTypeDelete {
			s.lost(s.idOf(event.Kv))
		} else if err := s.found(ctx, event.Kv); err != nil {
			return err
		}
		s.revision = event.Kv.ModRevision
	}
	if len(response.Events) > 0 {
		s.publish()
	}
	return nil
}

func (s *Store) idOf(kv *mvccpb.KeyValue) string {
	return strings.TrimPrefix(string(kv.Key), s.records)
}

// found takes in a record, and parks what it is about. What can't be read is reported once, and is no record. An error is that
// etcd can't be reached.
func (s *Store) found(ctx context.Context, kv *mvccpb.KeyValue) error {
	id := s.idOf(kv)
	r, err := decode(id, kv.Value)
	if err != nil {
		s.complain(ctx, id, err, "Reading in etcd what xDS clients have rejected; it is ignored")
		s.lost(id)
		return nil
	}
	e := s.entries[id]
	if e == nil || e.created != kv.CreateRevision {
		e = &entry{created: kv.CreateRevision}
	}
	if err := s.openGood(ctx, id, e, r); err != nil {
		return err
	}
	if e.stored != nil && e.Doubted && !r.Doubted {
		e.idle = time.Time{}
	}
	e.stored, e.modified, e.bytes = r, kv.ModRevision, len(kv.Value)
	s.entries[id] = e
	delete(s.gone, id)
	s.cache.Park(r.Scope, r.key(), r.Version, e.good, e.needs...)
	return nil
}

// openGood finds the good version of a record, unless the entry has it.
func (s *Store) openGood(ctx context.Context, id string, e *entry, r *stored) error {
	if e.stored != nil && e.Good != nil && r.Good != nil && e.Good.Chunks == r.Good.Chunks {
		return nil
	}
	e.replacement = replacement{}
	if r.Good == nil {
		return nil
	}
	if own := s.own[id]; own != nil && own.Good != nil && own.Good.Version() == r.Good.Version {
		e.good = own.Good // this replica has stored it, or might have; its cache keeps what that uses
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	kept, err := s.readGood(ctx, r)
	var away unreachable
	if errors.As(err, &away) {
		return fmt.Errorf("reading a good version: %w", err)
	}
	if err != nil {
		s.complain(ctx, r.Good.Chunks, err, "Reading in etcd what xDS clients were served before they rejected something; new ones get nothing",
			"scope", r.Scope, "type", r.Type, "name", r.Name)
	}
	e.replacement = kept
	return nil
}

// complain logs an error about something in etcd, once.
func (s *Store) complain(ctx context.Context, about string, err error, message string, keysAndValues ...any) {
	if s.complaints[about] || len(s.complaints) > 2*s.limits.records {
		return
	}
	s.complaints[about] = true
	klog.FromContext(ctx).Error(err, message, append(keysAndValues, "id", about)...)
}

// lost forgets a record. What it was about stays parked for now: whoever removed the record has a newer version, which is to come
// here too and lifts it; see reconsider.
func (s *Store) lost(id string) {
	e := s.entries[id]
	if e == nil {
		return
	}
	delete(s.entries, id)
	s.gone[id] = goneRecord{e.Scope, e.key(), e.Version, time.Now()}
}
