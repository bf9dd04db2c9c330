package maintenance_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd/maintenance"
)

const lock = "/lock"

// server is a member with a client of its own.
type server struct {
	*embed.Etcd
	client *clientv3.Client
	stop   func()
}

// configOf is that of a member which is called name, as metrics are: each test has others.
func configOf(t *testing.T, name string, quota int64) *embed.Config {
	t.Helper()
	c := embed.NewConfig()
	c.Name, c.Dir = name, filepath.Join(t.TempDir(), "etcd")
	c.ListenClientUrls, c.ListenPeerUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}, nil
	c.InitialCluster = name + "=" + c.AdvertisePeerUrls[0].String()
	c.TickMs, c.ElectionMs = 50, 1000
	c.QuotaBackendBytes = quota
	c.UnsafeNoFsync = true // what is tested survives no crash
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	return c
}

func start(t *testing.T, c *embed.Config) *server {
	t.Helper()
	e, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Etcd: e, stop: sync.OnceFunc(e.Close)}
	t.Cleanup(s.stop)
	if s.client, err = clientv3.New(clientv3.Config{Endpoints: []string{"http://" + e.Clients[0].Addr().String()}, Logger: zap.NewNop()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.client.Close() })
	return s
}

// alone starts a cluster of one.
func alone(t *testing.T, name string, quota int64) *server {
	t.Helper()
	s := start(t, configOf(t, name, quota))
	<-s.Server.ReadyNotify()
	return s
}

// run runs maintenance until the test ends, or the function that it returns is called, and returns its log.
func run(t *testing.T, s *server, embedded bool) (log func() string, stop func()) {
	t.Helper()
	logger := ktesting.NewLogger(ktesting.NopTL{}, ktesting.NewConfig(ktesting.BufferLogs(true)))
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), logger))
	done := make(chan struct{})
	go func() {
		defer close(done)
		maintenance.Run(ctx, s.client, maintenance.Options{Embedded: embedded, Lock: lock, Interval: 20 * time.Millisecond})
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return logger.GetSink().(ktesting.Underlier).GetBuffer().String, stop
}

// wait waits until something holds.
func wait(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// metric returns the value of gateway_apiserver_etcd_NAME of a member, and whether there is one.
func metric(t *testing.T, name string, labels map[string]string) (value float64, has bool) {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "gateway_apiserver_etcd_"+name {
			continue
		}
		for _, m := range family.GetMetric() {
			found := 0
			for _, label := range m.GetLabel() {
				if labels[label.GetName()] == label.GetValue() {
					found++
				}
			}
			if found == len(labels) {
				return m.GetGauge().GetValue(), true
			}
		}
	}
	return 0, false
}

// is says whether the metric of a member has a value.
func is(t *testing.T, name, member string, want func(float64) bool) func() bool {
	return func() bool {
		value, has := metric(t, name, map[string]string{"member": member})
		return has && want(value)
	}
}

// fill writes versions of one key until etcd has no more space for them.
func fill(t *testing.T, s *server, key string) {
	t.Helper()
	value := strings.Repeat("v", 1<<20)
	for i := range 1000 {
		_, err := s.client.Put(t.Context(), key+fmt.Sprint(i%2), value)
		if err == rpctypes.ErrNoSpace {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("etcd takes whatever there is")
}

func alarmed(t *testing.T, s *server) bool {
	t.Helper()
	alarms, err := s.client.AlarmList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(alarms.Alarms) > 0
}

// TestOutOfSpace holds that an embedded member that is full of old revisions takes writes again by itself.
func TestOutOfSpace(t *testing.T) {
	t.Parallel()
	s := alone(t, "full-of-history", 16<<20)
	fill(t, s, "k")
	log, _ := run(t, s, true)
	wait(t, "the alarm is disarmed", func() bool { return !alarmed(t, s) })
	if _, err := s.client.Put(t.Context(), "k", "v"); err != nil {
		t.Error(err)
	}
	wait(t, "metrics", func() bool {
		raised, has := metric(t, "alarms", map[string]string{"member": "full-of-history", "alarm": "NOSPACE"})
		return has && raised == 0
	})
	wait(t, "the size", is(t, "db_size_bytes", "full-of-history", func(v float64) bool { return v > 0 && v < 8<<20 }))
	if !is(t, "db_quota_bytes", "full-of-history", func(v float64) bool { return v == 16<<20 })() {
		t.Error("the quota is not shown")
	}
	if !is(t, "last_defragmentation_timestamp_seconds", "full-of-history", func(v float64) bool { return v > 0 })() {
		t.Error("the defragmentation is not shown")
	}
	wait(t, "the log", func() bool { return strings.Contains(log(), "The alarm of etcd is disarmed") })
	if n := strings.Count(log(), "etcd is out of space and refuses writes"); n != 1 {
		t.Errorf("said %d times:\n%s", n, log())
	}
}

// TestFull holds that a member that is full of what is needed says so once, and takes writes again when enough is deleted,
// which it always takes.
func TestFull(t *testing.T) {
	t.Parallel()
	s := alone(t, "full-of-objects", 16<<20)
	log, _ := run(t, s, true)
	value, objects := strings.Repeat("v", 200<<10), 0
	wait(t, "it says that it is full", func() bool { // which it isn't yet when it can be defragmented
		if _, err := s.client.Put(t.Context(), fmt.Sprintf("k/%d", objects), value); err == nil {
			objects++
		} else if err != rpctypes.ErrNoSpace {
			t.Fatal(err)
		}
		return strings.Contains(log(), "etcd is full: delete objects")
	})
	if !alarmed(t, s) {
		t.Error("the alarm is disarmed although there is no room")
	}
	if raised, _ := metric(t, "alarms", map[string]string{"member": "full-of-objects", "alarm": "NOSPACE"}); raised != 1 {
		t.Error("the alarm is not shown")
	}
	if _, err := s.client.Delete(t.Context(), "k/", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	wait(t, "the alarm is disarmed", func() bool { return !alarmed(t, s) })
	if _, err := s.client.Put(t.Context(), "k", "v"); err != nil {
		t.Error(err)
	}
	if n := strings.Count(log(), "etcd is full"); n != 1 {
		t.Errorf("said %d times:\n%s", n, log())
	}
}

// TestNotOurs holds that nothing is done to an etcd that somebody else operates.
func TestNotOurs(t *testing.T) {
	t.Parallel()
	s := alone(t, "theirs", 16<<20)
	fill(t, s, "k")
	log, stop := run(t, s, false)
	raised := func(want float64) func() bool {
		return func() bool {
			value, has := metric(t, "alarms", map[string]string{"member": "theirs", "alarm": "NOSPACE"})
			return has && value == want
		}
	}
	wait(t, "the alarm is shown", raised(1))
	before, err := s.client.Status(t.Context(), s.client.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	if !alarmed(t, s) || before.DbSize < 15<<20 {
		t.Errorf("it was touched: %v", before)
	}
	if _, err := s.client.AlarmDisarm(t.Context(), &clientv3.AlarmMember{}); err != nil {
		t.Fatal(err)
	}
	wait(t, "the alarm is not shown", raised(0))
	wait(t, "the log", func() bool { return strings.Contains(log(), "The alarm of etcd is disarmed") })
	if n := strings.Count(log(), "its operator has to compact and defragment it"); n != 1 {
		t.Errorf("said %d times:\n%s", n, log())
	}

	// What the API server compacts is shown.
	if _, err := s.client.Compact(t.Context(), before.Header.GetRevision(), clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Defragment(t.Context(), s.client.Endpoints()[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Put(t.Context(), "compact_rev_key", "17"); err != nil {
		t.Fatal(err)
	}
	wait(t, "the compaction is shown", func() bool {
		value, _ := metric(t, "compacted_revision", nil)
		return value == 17
	})

	// So is an etcd that has gone, until nobody asks any more.
	s.stop()
	wait(t, "it is unreachable", func() bool { return strings.Contains(log(), "etcd does not answer") })
	stop()
	if _, has := metric(t, "db_size_bytes", map[string]string{"member": "theirs"}); has {
		t.Error("what nobody asks for is shown")
	}
}

// TestDefragment holds that members whose files are mostly empty become small, one after another.
func TestDefragment(t *testing.T) {
	t.Parallel()
	members := startCluster(t, "a", "b", "c")
	value := strings.Repeat("v", 1<<20)
	var last *clientv3.PutResponse
	for range 120 {
		var err error
		if last, err = members[0].client.Put(t.Context(), "k", value); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := members[0].client.Compact(t.Context(), last.Header.GetRevision(), clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	size := func(s *server) int64 {
		status, err := s.client.Status(t.Context(), s.client.Endpoints()[0])
		if err != nil {
			t.Fatal(err)
		}
		return status.DbSize
	}
	for _, s := range members {
		wait(t, "the member has all of it", func() bool { return size(s) > 100<<20 })
		wait(t, "pages are free", func() bool { // which takes another write
			if _, err := s.client.Put(t.Context(), "other", ""); err != nil {
				t.Fatal(err)
			}
			status, err := s.client.Status(t.Context(), s.client.Endpoints()[0])
			return err == nil && status.DbSizeInUse < 50<<20
		})
	}
	// Nobody has a turn as long as another one does.
	if _, err := members[0].client.Put(t.Context(), lock+"/0", ""); err != nil {
		t.Fatal(err)
	}
	var logs []func() string
	for _, s := range members {
		log, _ := run(t, s, true)
		logs = append(logs, log)
	}
	candidates := func() int64 {
		got, err := members[0].client.Get(t.Context(), lock+"/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil {
			t.Fatal(err)
		}
		return got.Count
	}
	wait(t, "they want to", func() bool { return candidates() > 1 })
	for _, s := range members {
		if size(s) < 100<<20 {
			t.Error("it was defragmented out of turn")
		}
	}
	if _, err := members[0].client.Delete(t.Context(), lock+"/0"); err != nil {
		t.Fatal(err)
	}
	for i, s := range members {
		wait(t, "it is small", func() bool { return size(s) < 50<<20 })
		if strings.Contains(logs[i](), "will try again") {
			t.Error(logs[i]())
		}
	}
	wait(t, "nobody has the lock", func() bool { return candidates() == 0 })
}

// startCluster starts a cluster.
func startCluster(t *testing.T, names ...string) []*server {
	t.Helper()
	var configs []*embed.Config
	var cluster []string
	for _, name := range names {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c := configOf(t, name, 8<<30)
		peer := url.URL{Scheme: "http", Host: l.Addr().String()}
		c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
		configs, cluster = append(configs, c), append(cluster, name+"="+peer.String())
		l.Close()
	}
	var members []*server
	for _, c := range configs {
		c.InitialCluster = strings.Join(cluster, ",")
		members = append(members, start(t, c))
	}
	for _, s := range members {
		<-s.Server.ReadyNotify()
	}
	return members
}

// TestStranger holds that the alarm of a member that has left doesn't stop the others.
func TestStranger(t *testing.T) {
	t.Parallel()
	s := alone(t, "stays", 8<<30)
	if _, err := etcdserverpb.NewMaintenanceClient(s.client.ActiveConnection()).Alarm(t.Context(), &etcdserverpb.AlarmRequest{
		Action: etcdserverpb.AlarmRequest_ACTIVATE, MemberID: 17, Alarm: etcdserverpb.AlarmType_NOSPACE,
	}); err != nil {
		t.Fatal(err)
	}
	if !alarmed(t, s) {
		t.Fatal("there is no alarm")
	}
	run(t, s, true)
	wait(t, "the alarm is disarmed", func() bool { return !alarmed(t, s) })
}
