package etcd_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
)

func start(t *testing.T, dir string) (*etcd.Server, *clientv3.Client) {
	t.Helper()
	s, err := etcd.Start(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Endpoint()}, DialTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func TestKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx := context.Background()
	s, c := start(t, dir)
	if _, err := c.Put(ctx, "k", "v"); err != nil {
		t.Fatal(err)
	}
	c.Close()
	s.Stop()

	s, c = start(t, dir)
	defer s.Stop()
	defer c.Close()
	got, err := c.Get(ctx, "k")
	if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "v" {
		t.Fatalf("after a restart: %v, %v", got, err)
	}
}

func TestLongDataDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	s, c := start(t, dir)
	defer c.Close()
	socket := strings.TrimPrefix(s.Endpoint(), "unix://")
	if got, running := etcd.EndpointOf(dir); !running || got != s.Endpoint() {
		t.Errorf("found %q, running: %v, want %q", got, running, s.Endpoint())
	}
	s.Stop()
	if _, running := etcd.EndpointOf(dir); running {
		t.Error("it still runs")
	}
	if _, err := os.Stat(filepath.Dir(socket)); !os.IsNotExist(err) {
		t.Errorf("the socket directory is left behind: %v", err)
	}
}

func TestDamagedDataDirectory(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(dir string) error{
		"database overwritten": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "member", "member", "snap", "db"), []byte("not a database"), 0o600)
		},
		"log overwritten": func(dir string) error {
			files, _ := filepath.Glob(filepath.Join(dir, "member", "member", "wal", "*.wal"))
			for _, f := range files {
				if err := os.WriteFile(f, []byte("not a log of etcd, and long enough to be read as one"), 0o600); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s, c := start(t, dir)
			if _, err := c.Put(context.Background(), "k", "v"); err != nil {
				t.Fatal(err)
			}
			c.Close()
			s.Stop()
			if err := damage(dir); err != nil {
				t.Fatal(err)
			}
			s, err := etcd.Start(context.Background(), dir)
			if err == nil {
				s.Stop()
				t.Fatal("etcd started on a damaged directory")
			}
			if !strings.Contains(err.Error(), dir) {
				t.Errorf("the error does not name the directory: %v", err)
			}
		})
	}
}
