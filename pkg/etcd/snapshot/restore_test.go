package snapshot_test

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd/snapshot"
)

const running = prefix + ".election"

// source starts an etcd that is shared with others, and returns its objects too.
func source(t *testing.T) (*clientv3.Client, map[string]string) {
	t.Helper()
	_, client := startEtcd(t, etcdOptions{maxRequestBytes: 8 << 20})
	for i := range 300 {
		put(t, client, fmt.Sprintf("%s/%03d", prefix, i), strings.Repeat("v", 4000))
	}
	put(t, client, prefix+"/deleted", "")
	if _, err := client.Delete(t.Context(), prefix+"/deleted"); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		put(t, client, fmt.Sprintf("/theirs/%03d", i), "v")
	}
	return client, below(t, client, prefix+"/")
}

// TestRestoreDirectory holds that a restored member serves the objects, of a later time than all that clients have seen,
// and nothing else.
func TestRestoreDirectory(t *testing.T) {
	t.Parallel()
	client, want := source(t)
	// What else there may be in the etcd of others.
	if _, err := client.RoleAdd(t.Context(), "root"); err != nil {
		t.Fatal(err)
	}
	if _, err := etcdserverpb.NewMaintenanceClient(client.ActiveConnection()).Alarm(t.Context(), &etcdserverpb.AlarmRequest{
		Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: 1, Alarm: etcdserverpb.AlarmType_NOSPACE,
	}); err != nil {
		t.Fatal(err)
	}
	f, _ := save(t, client) // whose last revision is of another's key
	dir := t.TempDir()
	delete(want, prefix+"/001")
	if err := etcd.Restore(dir, func(path, name, peerURL string) error {
		done, err := f.RestoreDirectory(path, name, peerURL, func(key string) bool { return key == prefix+"/001" })
		if done.Written != len(want) || done.LeftOut != 1 {
			t.Errorf("restored %+v, want %d", done, len(want))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	server, err := etcd.Start(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	restored := newClient(t, server.Endpoint())
	if all := below(t, restored, ""); !maps.Equal(all, want) {
		t.Errorf("restored %d keys, want %d", len(all), len(want))
	}
	alarms, err := restored.AlarmList(t.Context())
	if err != nil || len(alarms.Alarms) != 0 {
		t.Errorf("alarms: %v, %v", alarms, err)
	}
	roles, err := restored.RoleList(t.Context())
	if err != nil || len(roles.Roles) != 0 {
		t.Errorf("roles: %v, %v", roles, err)
	}
	got, err := restored.Put(t.Context(), prefix+"/new", "")
	if err != nil || got.Header.Revision != f.Revision+1_000_000_001 {
		t.Errorf("after revision %d: %v, %v", f.Revision, got, err)
	}
	// Who has seen something of before lists again.
	watch := <-restored.Watch(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithRev(f.Revision+1))
	if !errors.Is(watch.Err(), rpctypes.ErrCompacted) {
		t.Errorf("a watch from before: %v", watch.Err())
	}
}

func TestRestoreKeys(t *testing.T) {
	t.Parallel()
	client, want := source(t)
	lease, err := client.Grant(t.Context(), 600)
	if err != nil {
		t.Fatal(err)
	}
	put(t, client, prefix+"/leased", "", clientv3.WithLease(lease.ID))
	f, _ := save(t, client)
	_, to := startEtcd(t, etcdOptions{})
	put(t, to, "/theirs/000", "untouched")
	put(t, to, prefix+"s/000", "untouched")
	target := snapshot.Target{Client: to, Prefix: prefix, Running: running, LeaveOut: func(key string) bool { return key == prefix+"/001" }}
	delete(want, prefix+"/001")

	done, err := f.RestoreKeys(t.Context(), target)
	if err != nil || done.Written != len(want) || done.Deleted != 0 || done.Leased != 1 || done.LeftOut != 1 || done.Revision == 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	check := func() {
		t.Helper()
		all := maps.Clone(want)
		all["/theirs/000"], all[prefix+"s/000"] = "untouched", "untouched"
		if got := below(t, to, ""); !maps.Equal(got, all) {
			t.Errorf("restored %d keys, want %d", len(got), len(all))
		}
		if err := snapshot.CheckComplete(t.Context(), to, prefix); err != nil {
			t.Error(err)
		}
	}
	check()

	// There are objects now.
	_, err = f.RestoreKeys(t.Context(), target)
	wantError(t, err, "this etcd has 299 objects already (below /ours/): --replace")
	check()

	put(t, to, prefix+"/later", "")
	put(t, to, prefix+"/000", "changed")
	target.Replace = true
	// A server runs.
	put(t, to, running+"/1", "replica-1")
	_, err = f.RestoreKeys(t.Context(), target)
	wantError(t, err, "gateway-apiserver runs on this etcd (replica-1): stop all replicas first")
	if _, err := to.Delete(t.Context(), running+"/1"); err != nil {
		t.Fatal(err)
	}
	if done, err = f.RestoreKeys(t.Context(), target); err != nil || done.Deleted != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	check()
}

// TestRestoreKeysStopped stops a restore in the middle, by a value that the target doesn't take.
func TestRestoreKeysStopped(t *testing.T) {
	t.Parallel()
	client, want := source(t)
	other, _ := save(t, client)
	large := prefix + "/150-large"
	want[large] = strings.Repeat("v", 1700<<10)
	put(t, client, large, want[large])
	f, path := save(t, client)

	dir := filepath.Join(t.TempDir(), "etcd")
	stopped, to := startEtcd(t, etcdOptions{dir: dir})
	target := snapshot.Target{Client: to, Prefix: prefix, Running: running}
	_, err := f.RestoreKeys(t.Context(), target)
	wantError(t, err, "running restore again completes it")
	if n := len(below(t, to, prefix+"/")); n == 0 || n == len(want) {
		t.Fatalf("it was not stopped in the middle, but after %d", n)
	}
	err = snapshot.CheckComplete(t.Context(), to, prefix)
	wantError(t, err, "a restore into this etcd was begun and not completed: run it again with the same file")
	_, err = other.RestoreKeys(t.Context(), target)
	wantError(t, err, "the restore of another file into this etcd was begun and not completed")
	_, err = snapshot.Save(t.Context(), to, filepath.Join(t.TempDir(), "half.db"), prefix)
	wantError(t, err, "into which a restore was begun and not completed")

	stopped.stop()
	_, to = startEtcd(t, etcdOptions{dir: dir, maxRequestBytes: 8 << 20})
	target.Client = to
	again, err := snapshot.Open(path, prefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	if _, err := again.RestoreKeys(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	if got := below(t, to, ""); !maps.Equal(got, want) {
		t.Errorf("restored %d keys, want %d", len(got), len(want))
	}
}
