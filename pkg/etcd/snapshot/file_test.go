package snapshot_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd/snapshot"
)

// TestSaveWhileWriting holds that a snapshot has what was acknowledged before it, while there is more to come.
func TestSaveWhileWriting(t *testing.T) {
	t.Parallel()
	_, client := startEtcd(t, etcdOptions{})
	var mu sync.Mutex
	acknowledged := map[string]string{}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key, value := fmt.Sprintf("%s/%d/%d", prefix, w, i%50), fmt.Sprint(i)
				if _, err := client.Put(ctx, key, value); err == nil {
					mu.Lock()
					acknowledged[key] = value
					mu.Unlock()
				}
			}
		})
	}
	defer writers.Wait()
	defer stop()
	for range 5 {
		mu.Lock()
		before := maps.Clone(acknowledged)
		mu.Unlock()
		if len(before) == 0 {
			put(t, client, prefix+"/first", "")
		}
		f, _ := save(t, client)
		saved := map[string]string{}
		if err := f.Each(func(e snapshot.Entry) error {
			saved[e.Key] = string(e.Value)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for key, value := range before {
			var was, is int
			_, _ = fmt.Sscan(value, &was)
			if _, err := fmt.Sscan(saved[key], &is); err != nil || is < was {
				t.Fatalf("%s was %s when the snapshot began, and is %q in it", key, value, saved[key])
			}
		}
	}
}

func TestSaved(t *testing.T) {
	t.Parallel()
	_, client := startEtcd(t, etcdOptions{})
	put(t, client, prefix+"/a", "1")
	put(t, client, prefix+"/b", "2")
	put(t, client, prefix+"/a", "3")
	put(t, client, prefix+"/gone", "4")
	if _, err := client.Delete(t.Context(), prefix+"/gone"); err != nil {
		t.Fatal(err)
	}
	put(t, client, prefix+"much", "of another prefix")
	lease, err := client.Grant(t.Context(), 600)
	if err != nil {
		t.Fatal(err)
	}
	put(t, client, prefix+"/leased", "5", clientv3.WithLease(lease.ID))

	f, path := save(t, client)
	if f.Objects != 3 || f.Others != 1 || f.Revision != 8 || f.Size == 0 || f.Hash == 0 {
		t.Errorf("the snapshot is %+v", f)
	}
	var entries []string
	if err := f.Each(func(e snapshot.Entry) error {
		entries = append(entries, fmt.Sprintf("%s=%s %t", e.Key, e.Value, e.Leased))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{prefix + "/b=2 false", prefix + "/a=3 false", prefix + "/leased=5 true"}; !slices.Equal(entries, want) {
		t.Errorf("the snapshot has %q, want %q", entries, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("files: %v, %v", files, err)
	}
}

// TestSaveRefused holds that there is no file unless it is good, and that one of before stays.
func TestSaveRefused(t *testing.T) {
	t.Parallel()
	e, client := startEtcd(t, etcdOptions{})
	put(t, client, "/theirs/a", "1")
	path := filepath.Join(t.TempDir(), "snapshot.db")
	if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := func(ctx context.Context, saying string) {
		t.Helper()
		_, err := snapshot.Save(ctx, client, path, prefix)
		wantError(t, err, saying)
		files, err := os.ReadDir(filepath.Dir(path))
		if err != nil || len(files) != 1 {
			t.Errorf("files: %v, %v", files, err)
		}
		if content, err := os.ReadFile(path); string(content) != "before" {
			t.Errorf("the file of before has %q, %v", content, err)
		}
	}
	refused(t.Context(), "no key of that etcd begins with /ours/")
	put(t, client, prefix+"/a", "1")
	put(t, client, prefix+".restore", "{}")
	refused(t.Context(), "a restore was begun and not completed")
	e.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	refused(ctx, "etcd does not answer")
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	_, client := startEtcd(t, etcdOptions{})
	for i := range 100 {
		put(t, client, fmt.Sprintf("%s/%d", prefix, i), "some value that is not long")
	}
	_, path := save(t, client)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewSource(seed))
	open := func(t *testing.T, content []byte) error {
		t.Helper()
		damaged := filepath.Join(t.TempDir(), "damaged.db")
		if err := os.WriteFile(damaged, content, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := snapshot.Open(damaged, prefix)
		if err == nil {
			_ = f.Close()
		}
		return err
	}
	t.Run("flipped bits", func(t *testing.T) {
		for range 200 {
			bit := random.Intn(8 * len(good))
			content := slices.Clone(good)
			content[bit/8] ^= 1 << (bit % 8)
			if open(t, content) == nil {
				t.Fatalf("bit %d of %d can be flipped", bit, 8*len(good))
			}
		}
	})
	t.Run("cut off", func(t *testing.T) {
		for _, size := range append(random.Perm(len(good))[:50], 0, 1, 31, 32, 33, 4096, 4096+32, len(good)-32, len(good)-1) {
			if open(t, good[:size]) == nil {
				t.Fatalf("it can be cut off after %d bytes of %d", size, len(good))
			}
		}
	})
	t.Run("something else", func(t *testing.T) {
		other := filepath.Join(t.TempDir(), "other.db")
		db, err := bbolt.Open(other, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(other)
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256(content)
		wantError(t, open(t, append(content, digest[:]...)), "something else than etcd")
		wantError(t, open(t, content), "is not a snapshot of etcd, or is cut off")
		text := []byte("Dear diary\n")
		wantError(t, open(t, text), "is not a snapshot of etcd, or is cut off")
		digest = sha256.Sum256(make([]byte, 512))
		wantError(t, open(t, append(make([]byte, 512), digest[:]...)), "is not a snapshot of etcd: invalid database")
		_, err = snapshot.Open(t.TempDir(), prefix)
		wantError(t, err, "is not a file")
		_, err = snapshot.Open("missing.db", prefix)
		wantError(t, err, "missing.db")
	})
}
