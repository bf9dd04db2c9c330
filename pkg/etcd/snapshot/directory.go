package snapshot

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"go.etcd.io/bbolt"
	etcdutl "go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// revisionBump is how far the revision of a restored member is above that of the snapshot, as etcd's documentation of
// disaster recovery recommends: what was written after the snapshot has had revisions too, and a client that has seen one
// of them must not take what it has for newer than what is served.
const revisionBump = 1_000_000_000

// batchKeys is how many keys are copied in one transaction.
const batchKeys = 10_000

// RestoreDirectory makes dir, which must not exist, the data directory of the only member of a cluster, which has the keys
// below the prefix and has never run. Their history is gone: who watches from a revision of before is told that it is
// compacted, and lists anew. leaveOut, if not nil, says which keys are not restored. If RestoreDirectory returns an error,
// or doesn't return, what is in dir is of no use.
func (f *File) RestoreDirectory(dir, name, peerURL string, leaveOut func(key string) bool) (done Restored, err error) {
	defer func() {
		if r := recover(); r != nil { // etcd's way to report what it could not write
			err = fmt.Errorf("restoring into %s: %v", dir, r)
		}
	}()
	database := dir + ".db"
	if err := os.Remove(database); err != nil && !errors.Is(err, os.ErrNotExist) {
		return done, err
	}
	defer os.Remove(database)
	if done, err = f.copyObjects(database, leaveOut); err != nil {
		return done, fmt.Errorf("restoring into %s: %w", dir, err)
	}
	if err := etcdutl.NewV3(logger()).Restore(etcdutl.RestoreConfig{
		SnapshotPath:        database,
		SkipHashCheck:       true, // it is a copy that nobody has signed
		OutputDataDir:       dir,
		Name:                name,
		PeerURLs:            []string{peerURL},
		InitialCluster:      name + "=" + peerURL,
		InitialClusterToken: rand.Text(), // the cluster's ID is a hash of it: no member of another one takes this for its own
		RevisionBump:        uint64(f.Revision - done.Revision + revisionBump),
		MarkCompacted:       true,
	}); err != nil {
		return done, fmt.Errorf("restoring into %s: %w", dir, err)
	}
	done.Revision = f.Revision + revisionBump
	return done, nil
}

// copyObjects writes a database of etcd that has only the keys below the prefix, with their leases.
func (f *File) copyObjects(path string, leaveOut func(key string) bool) (done Restored, err error) {
	to, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, NoSync: true}) // etcdutl copies it once more
	if err != nil {
		return done, err
	}
	if err = f.copyFrame(to); err == nil {
		done, err = f.copyKeys(to, leaveOut)
	}
	return done, errors.Join(err, to.Close())
}

// copyFrame copies what etcd has besides keys, but for users, alarms and members.
func (f *File) copyFrame(to *bbolt.DB) error {
	return f.db.View(func(from *bbolt.Tx) error {
		return to.Update(func(tx *bbolt.Tx) error {
			for _, name := range [][]byte{schema.Key.Name(), schema.Meta.Name(), schema.Cluster.Name(), schema.Lease.Name()} {
				if _, err := tx.CreateBucket(name); err != nil {
					return err
				}
			}
			for _, name := range [][]byte{schema.Meta.Name(), schema.Cluster.Name(), schema.Lease.Name()} {
				if bucket := from.Bucket(name); bucket != nil {
					if err := bucket.ForEach(tx.Bucket(name).Put); err != nil {
						return err
					}
				}
			}
			return nil
		})
	})
}

// copyKeys copies what a compaction would leave of the keys.
func (f *File) copyKeys(to *bbolt.DB, leaveOut func(key string) bool) (done Restored, err error) {
	tx, err := to.Begin(true)
	if err != nil {
		return done, err
	}
	defer func() { _ = tx.Rollback() }() // fails if it is committed
	if err := f.Each(func(e Entry) error {
		if leaveOut != nil && leaveOut(e.Key) {
			done.LeftOut++
			return nil
		}
		if done.Written++; done.Written%batchKeys == 0 {
			if err := tx.Commit(); err != nil {
				return err
			}
			if tx, err = to.Begin(true); err != nil {
				return err
			}
		}
		done.Revision = mvcc.BytesToRev(e.revision).Main
		keys := tx.Bucket(schema.Key.Name())
		keys.FillPercent = 0.9 // they come in order
		return keys.Put(e.revision, e.stored)
	}); err != nil {
		return done, err
	}
	return done, tx.Commit()
}

// logger is for etcd's tools, whose errors are returned. What they take for fatal is a panic, so that it can be returned too.
func logger() *zap.Logger { return zap.NewNop().WithOptions(zap.WithFatalHook(zapcore.WriteThenPanic)) }
