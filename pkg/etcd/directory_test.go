package etcd_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd/snapshot"
)

// TestRestoreIntoCluster holds that a backup that is restored into one member is what all of them have.
func TestRestoreIntoCluster(t *testing.T) {
	t.Parallel()
	s, c := start(t, t.TempDir())
	keys := put(t, "before/objects", map[string]*clientv3.Client{"a": c})
	backup, err := snapshot.Save(t.Context(), c, filepath.Join(t.TempDir(), "backup.db"), "before")
	if err != nil {
		t.Fatal(err)
	}
	defer backup.Close()
	c.Close()
	s.Stop()

	cluster := newCluster(t)
	if err := etcd.Restore(cluster.members["b"].Dir, func(path, name, peerURL string) error {
		_, err := backup.RestoreDirectory(path, name, peerURL, nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	clients := map[string]*clientv3.Client{}
	var processes []*process
	for _, name := range names {
		processes = append(processes, cluster.start(name))
	}
	for i, name := range names {
		clients[name] = processes[i].client()
	}
	keys = append(keys, put(t, "after", clients)...)
	for name, client := range clients {
		has(t, name, client, keys)
	}
	voters(t, clients["a"], names...)
}

// TestRestoreStopped holds that a directory which a backup was not restored into completely is of no use, until it is.
func TestRestoreStopped(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "etcd")
	fails := errors.New("the disk is full")
	if err := etcd.Restore(dir, func(path, _, _ string) error {
		if err := os.MkdirAll(filepath.Join(path, "member", "wal"), 0o700); err != nil {
			t.Fatal(err)
		}
		return fails
	}); !errors.Is(err, fails) {
		t.Fatal(err)
	}
	s, err := etcd.Start(t.Context(), dir)
	if err == nil {
		s.Stop()
	}
	if err == nil || !strings.Contains(err.Error(), "a backup was being restored into "+dir) {
		t.Errorf("starting on half of a backup: %v", err)
	}
	if etcd.HasData(dir) {
		t.Error("half of a backup is taken for data")
	}

	if err := etcd.Restore(dir, func(path, _, _ string) error {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("there is something left of before: %v", err)
		}
		return os.Mkdir(path, 0o700)
	}); err != nil {
		t.Fatal(err)
	}
	s, c := start(t, dir)
	defer s.Stop()
	defer c.Close()
	if !etcd.HasData(dir) {
		t.Error("there is no data")
	}
	if err := etcd.Restore(dir, func(string, string, string) error { return nil }); err == nil || !strings.Contains(err.Error(), "there is an etcd in it already") {
		t.Errorf("restoring over data: %v", err)
	}
}
