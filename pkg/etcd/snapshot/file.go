package snapshot

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	etcdutl "go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"google.golang.org/protobuf/proto"
)

// File is a snapshot that was found whole. It must be closed.
type File struct {
	Size     int64  // bytes
	SHA256   string // in hex, of the contents, as it stands at the end of the file
	Hash     uint32 // as "etcdutl snapshot status" prints it
	Version  string // of etcd's storage, such as 3.7.0; empty for etcd before 3.6
	Revision int64
	Objects  int // keys below the prefix
	Others   int // all other keys

	prefix string
	db     *bbolt.DB
	latest map[string]mvcc.Revision // where the values of the keys below the prefix are
}

// Entry is a key as it was last written. Its bytes are valid only as long as the function that is called with it runs.
type Entry struct {
	Key   string
	Value []byte
	// Leased says that the key had a lease, with which it was going to end.
	Leased bool

	revision []byte // the key in etcd's database
	stored   []byte // and the value there
}

// Open checks a file from end to end: that it is what etcd has sent, that etcd's database in it is consistent, that every
// key can be read, that there are keys below prefix, and that they are not those of a half completed restore.
func Open(path, prefix string) (*File, error) { return open(path, path, prefix) }

// open calls the file by a name in errors.
func open(path, name, prefix string) (*File, error) {
	f := &File{prefix: prefix, latest: map[string]mvcc.Revision{}}
	if err := f.checkDigest(path, name); err != nil {
		return nil, err
	}
	var err error
	if f.db, err = bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: time.Second}); err != nil {
		return nil, fmt.Errorf("%s is not a snapshot of etcd: %w", name, err)
	}
	if err = f.checkDatabase(path, name); err == nil {
		err = f.index(name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// checkDigest compares the file with the SHA-256 that etcd puts at its end. That is the only part of the size which isn't
// made of sectors.
func (f *File) checkDigest(path, name string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", name)
	}
	if f.Size = info.Size(); f.Size%512 != sha256.Size {
		return fmt.Errorf("%s is not a snapshot of etcd, or is cut off: it doesn't end with a SHA-256", name)
	}
	digest := sha256.New()
	if _, err := io.CopyN(digest, file, f.Size-sha256.Size); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	want, err := io.ReadAll(file)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if !bytes.Equal(digest.Sum(nil), want) {
		return fmt.Errorf("%s is damaged, cut off, or not a snapshot of etcd: its contents are not those of the SHA-256 at its end", name)
	}
	f.SHA256 = fmt.Sprintf("%x", want)
	return nil
}

// checkDatabase has etcd's own tool go through the database.
func (f *File) checkDatabase(path, name string) error {
	if err := f.db.View(func(tx *bbolt.Tx) error {
		for _, bucket := range []backend.Bucket{schema.Key, schema.Meta} { // which the tool takes for granted
			if tx.Bucket(bucket.Name()) == nil {
				return fmt.Errorf("%s is the database of something else than etcd", name)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	status, err := etcdutl.NewV3(logger()).Status(path)
	if err != nil {
		return fmt.Errorf("%s is a snapshot of an etcd that was damaged: %w", name, err)
	}
	f.Hash, f.Version, f.Revision = status.Hash, status.Version, status.Revision
	return nil
}

// index finds the keys.
func (f *File) index(name string) error {
	others := map[string]bool{}
	if err := f.walk(func(revision, value []byte) error {
		var kv mvccpb.KeyValue
		if err := proto.Unmarshal(value, &kv); err != nil {
			return err
		}
		key, deleted := string(kv.GetKey()), mvcc.IsTombstone(revision)
		switch ours := strings.HasPrefix(key, f.prefix+"/"); {
		case key == "": // with which etcdutl raises the revision
		case ours && deleted:
			delete(f.latest, key)
		case ours:
			f.latest[key] = mvcc.BytesToRev(revision)
		case deleted:
			delete(others, key)
		default:
			others[key] = true
		}
		return nil
	}); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	f.Objects, f.Others = len(f.latest), len(others)
	if f.Objects == 0 {
		return fmt.Errorf("%s has nothing of gateway-apiserver: no key of that etcd begins with %s/", name, f.prefix)
	}
	if others[markerOf(f.prefix)] {
		return fmt.Errorf("%s is of an etcd into which a restore was begun and not completed", name)
	}
	return nil
}

// Each calls visit with the keys below the prefix, in the order in which they were written.
func (f *File) Each(visit func(Entry) error) error {
	return f.walk(func(revision, value []byte) error {
		if mvcc.IsTombstone(revision) {
			return nil
		}
		var kv mvccpb.KeyValue
		if err := proto.Unmarshal(value, &kv); err != nil {
			return err
		}
		key := string(kv.GetKey())
		if latest, ours := f.latest[key]; !ours || latest != mvcc.BytesToRev(revision) {
			return nil
		}
		return visit(Entry{Key: key, Value: kv.GetValue(), Leased: kv.GetLease() != 0, revision: revision, stored: value})
	})
}

// walk calls visit with everything in the history of all keys that etcd still has.
func (f *File) walk(visit func(revision, value []byte) error) error {
	return f.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(schema.Key.Name()).ForEach(visit)
	})
}

// Close ends reading.
func (f *File) Close() error { return f.db.Close() }
