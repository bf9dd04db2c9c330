package etcd_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
)

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
