package snapshot

import (
	"context"
	"encoding/json"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// batchOps and batchBytes bound a transaction: etcd takes 128 operations and 1.5 MiB, unless it is told otherwise.
	batchOps   = 100
	batchBytes = 512 << 10
	// pageKeys is how many keys are listed at once.
	pageKeys = 1000
)

// Target is the part of a running etcd that a snapshot is restored into.
type Target struct {
	Client *clientv3.Client
	// Prefix is that of the snapshot. Other keys are left alone.
	Prefix string
	// Running is the prefix below which servers that use this etcd have keys as long as they run.
	Running string
	// Replace makes it right that there are keys below Prefix. Those that are not restored are deleted.
	Replace bool
	// LeaveOut, if set, says which keys of the snapshot are not for this target. Keys that had a lease never are: they
	// would stay for ever.
	LeaveOut func(key string) bool
}

// Restored says what became of the keys of a snapshot, and of those of where it was restored.
type Restored struct {
	Written, Deleted int
	// Leased and LeftOut keys of the snapshot were not written.
	Leased, LeftOut int
	// Revision is that of the target.
	Revision int64
}

// marker stands in etcd while a restore is under way.
type marker struct {
	SHA256 string `json:"sha256"` // of the snapshot
}

// markerOf is where the marker is: beside the prefix, where no object is.
func markerOf(prefix string) string { return prefix + ".restore" }

// CheckComplete returns an error if a restore was begun and not completed, which no server should start on.
func CheckComplete(ctx context.Context, etcd clientv3.KV, prefix string) error {
	got, err := etcd.Get(ctx, markerOf(prefix))
	if err != nil {
		return fmt.Errorf("asking etcd for an unfinished restore: %w", err)
	}
	if len(got.Kvs) > 0 {
		return fmt.Errorf("a restore into this etcd was begun and not completed: run it again with the same file (the key %s says so)", markerOf(prefix))
	}
	return nil
}

// RestoreKeys makes the keys below the prefix those of the snapshot. If it is stopped in the middle, calling it again with
// the same file completes it; until then CheckComplete returns an error. It writes nothing while a server runs.
func (f *File) RestoreKeys(ctx context.Context, target Target) (Restored, error) {
	r := restore{Target: target, marker: markerOf(target.Prefix)}
	wanted := map[string]bool{}
	if err := f.Each(func(e Entry) error {
		switch {
		case e.Leased:
			r.done.Leased++
		case target.LeaveOut != nil && target.LeaveOut(e.Key):
			r.done.LeftOut++
		default:
			wanted[e.Key] = true
		}
		return nil
	}); err != nil {
		return r.done, err
	}
	if err := r.begin(ctx, f.SHA256); err != nil {
		return r.done, err
	}
	if err := r.deleteOthers(ctx, wanted); err != nil {
		return r.done, err
	}
	if err := f.Each(func(e Entry) error {
		if !wanted[e.Key] {
			return nil
		}
		r.done.Written++
		return r.add(ctx, clientv3.OpPut(e.Key, string(e.Value)), len(e.Key)+len(e.Value))
	}); err != nil {
		return r.done, err
	}
	if err := r.flush(ctx); err != nil {
		return r.done, err
	}
	r.batch = append(r.batch, clientv3.OpDelete(r.marker))
	return r.done, r.flush(ctx)
}

// restore is a restore that is under way.
type restore struct {
	Target
	marker string
	guard  []clientv3.Cmp // holds as long as nobody interferes
	batch  []clientv3.Op
	bytes  int
	done   Restored
}

// begin writes the marker, if the target is one that may be written.
func (r *restore) begin(ctx context.Context, sha256 string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := reach(ctx, r.Client); err != nil {
		return err
	}
	below := r.Prefix + "/"
	state, err := r.Client.Txn(ctx).Then(
		clientv3.OpGet(r.Running, clientv3.WithPrefix()),
		clientv3.OpGet(r.marker),
		clientv3.OpGet(below, clientv3.WithPrefix(), clientv3.WithCountOnly()),
	).Commit()
	if err != nil {
		return fmt.Errorf("looking at what etcd has: %w", err)
	}
	running, markers, objects := state.Responses[0].GetResponseRange().Kvs, state.Responses[1].GetResponseRange().Kvs, state.Responses[2].GetResponseRange().Count
	if len(running) > 0 {
		return runningError(running)
	}
	again, err := resumes(markers, sha256)
	if err != nil {
		return err
	}
	var seen int64 // the revision of the marker
	if len(markers) > 0 {
		seen = markers[0].GetModRevision()
	}
	if !again && !r.Replace {
		if len(markers) > 0 {
			return fmt.Errorf("the restore of another file into this etcd was begun and not completed: restore that file, or replace what there is of it with --replace")
		}
		if objects > 0 {
			return fmt.Errorf("this etcd has %d objects already (below %s): --replace replaces them with those of the backup, and deletes those that it doesn't have", objects, below)
		}
	}
	idle := clientv3.Compare(clientv3.CreateRevision(r.Running), "=", 0).WithPrefix() // holds if there are no such keys
	conditions := []clientv3.Cmp{idle, clientv3.Compare(clientv3.ModRevision(r.marker), "=", seen)}
	if !again && !r.Replace {
		conditions = append(conditions, clientv3.Compare(clientv3.CreateRevision(below), "=", 0).WithPrefix())
	}
	value, err := json.Marshal(marker{SHA256: sha256})
	if err != nil {
		return err
	}
	begun, err := r.Client.Txn(ctx).If(conditions...).Then(clientv3.OpPut(r.marker, string(value))).Commit()
	if err != nil {
		return fmt.Errorf("writing to etcd: %w", err)
	}
	if !begun.Succeeded {
		return fmt.Errorf("somebody else has begun to write to this etcd: make sure that no gateway-apiserver runs on it, and try again")
	}
	r.guard = []clientv3.Cmp{idle, clientv3.Compare(clientv3.ModRevision(r.marker), "=", begun.Header.Revision)}
	return nil
}

// resumes says whether the marker is that of an earlier restore of the same file.
func resumes(markers []*mvccpb.KeyValue, sha256 string) (bool, error) {
	if len(markers) == 0 {
		return false, nil
	}
	var m marker
	if err := json.Unmarshal(markers[0].GetValue(), &m); err != nil {
		return false, fmt.Errorf("the key %s in etcd is not that of a restore: %w", markers[0].GetKey(), err)
	}
	return m.SHA256 == sha256, nil
}

func runningError(servers []*mvccpb.KeyValue) error {
	names := ""
	for _, kv := range servers {
		names += " " + string(kv.GetValue())
	}
	return fmt.Errorf("gateway-apiserver runs on this etcd (%s): stop all replicas first, for example with \"kubectl -n gateway-apiserver scale deployment gateway-apiserver --replicas=0\", "+
		"and wait some seconds", names[1:])
}

// deleteOthers deletes the keys below the prefix that are not wanted.
func (r *restore) deleteOthers(ctx context.Context, wanted map[string]bool) error {
	below := r.Prefix + "/"
	end := clientv3.GetPrefixRangeEnd(below)
	for next := below; ; {
		page, err := r.list(ctx, next, end)
		if err != nil {
			return err
		}
		for _, kv := range page.Kvs {
			key := string(kv.GetKey())
			next = key + "\x00"
			if wanted[key] {
				continue
			}
			r.done.Deleted++
			if err := r.add(ctx, clientv3.OpDelete(key), len(key)); err != nil {
				return err
			}
		}
		if !page.More {
			return r.flush(ctx)
		}
	}
}

func (r *restore) list(ctx context.Context, next, end string) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	page, err := r.Client.Get(ctx, next, clientv3.WithRange(end), clientv3.WithLimit(pageKeys), clientv3.WithKeysOnly())
	if err != nil {
		return nil, fmt.Errorf("reading from etcd (running restore again completes it): %w", err)
	}
	return page, nil
}

// add puts an operation of so many bytes into the batch, which is written first if it would be too large.
func (r *restore) add(ctx context.Context, op clientv3.Op, bytes int) error {
	if len(r.batch) == batchOps || r.bytes+bytes > batchBytes {
		if err := r.flush(ctx); err != nil {
			return err
		}
	}
	r.batch = append(r.batch, op)
	r.bytes += bytes
	return nil
}

// flush writes the batch, if nobody interferes.
func (r *restore) flush(ctx context.Context) error {
	if len(r.batch) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	written, err := r.Client.Txn(ctx).If(r.guard...).Then(r.batch...).Commit()
	if err != nil {
		return fmt.Errorf("writing to etcd (running restore again completes it): %w", err)
	}
	if !written.Succeeded {
		return fmt.Errorf("a gateway-apiserver was started on this etcd, or another restore: stop it, and run restore again to complete this one")
	}
	r.done.Revision = written.Header.Revision
	r.batch, r.bytes = r.batch[:0], 0
	return nil
}
