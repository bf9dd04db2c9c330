package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/migration"
)

// storedRoute is an HTTPRoute as a store writes it.
const storedRoute = `{"kind":"HTTPRoute","apiVersion":"gateway.networking.k8s.io/v1","metadata":{"name":"%s","namespace":"default","uid":"%[1]s-uid",` +
	`"generation":3,"creationTimestamp":"2026-01-02T03:04:05Z"},"spec":{"parentRefs":[{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"theirs"}],` +
	`"rules":[{"matches":[{"path":{"type":"PathPrefix","value":"/"}}]}]},"status":{"parents":[{"parentRef":{"name":"theirs"},"controllerName":"example.com/gateway",` +
	`"conditions":[{"type":"Accepted","status":"True","lastTransitionTime":"2026-01-02T03:04:05Z","reason":"Accepted","message":"theirs"}]}]}}` + "\n"

// TestMigration starts a server on what older and newer releases have stored.
func TestMigration(t *testing.T) {
	t.Parallel()
	current := fmt.Sprintf(storedRoute, "current")
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(fmt.Sprintf(storedRoute, "indented")), "", "  "); err != nil {
		t.Fatal(err)
	}
	const routes, grants = "/gateway.networking.k8s.io/httproutes/default/", "/gateway.networking.k8s.io/referencegrants/default/"
	stored := map[string]string{
		routes + "current":     current,
		routes + "indented":    indented.String(),
		routes + "undefaulted": strings.Replace(fmt.Sprintf(storedRoute, "undefaulted"), `"group":"gateway.networking.k8s.io","kind":"Gateway",`, "", 1),
		routes + "newer":       strings.Replace(fmt.Sprintf(storedRoute, "newer"), `"rules"`, `"future":{"a":1},"rules"`, 1),
		grants + "v1beta1": `{"kind":"ReferenceGrant","apiVersion":"gateway.networking.k8s.io/v1beta1","metadata":{"name":"v1beta1","namespace":"default","uid":"grant-uid",` +
			`"generation":1,"creationTimestamp":"2026-01-02T03:04:05Z"},"spec":{"from":[{"group":"gateway.networking.k8s.io","kind":"HTTPRoute","namespace":"a"}],"to":[{"group":"","kind":"Service"}]}}` + "\n",
	}
	dir, err := openDataDir(filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	before := storeRaw(t, dir, stored)

	server, config := startStandaloneOn(t, dir)
	client := etcdClient(t, server.embedded.Endpoint())
	read := func(key string) (value string, revision int64) {
		t.Helper()
		r, err := client.Get(t.Context(), storagePrefix+key)
		if err != nil || len(r.Kvs) != 1 {
			t.Fatalf("%s: %v, %v", key, r, err)
		}
		return string(r.Kvs[0].Value), r.Kvs[0].ModRevision
	}
	metrics := func() string {
		text, err := kubernetes.NewForConfigOrDie(config).Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const counted = `gateway_apiserver_storage_migration_objects_total{resource="%s.gateway.networking.k8s.io",result="%s"} `
	if wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		_, indented := read(routes + "indented")
		_, undefaulted := read(routes + "undefaulted")
		_, grant := read(grants + "v1beta1")
		return indented != before && undefaulted != before && grant != before, nil
	}) != nil {
		t.Fatal("the objects are not rewritten")
	}
	for key, want := range map[string]string{
		routes + "indented":    fmt.Sprintf(storedRoute, "indented"),
		routes + "undefaulted": fmt.Sprintf(storedRoute, "undefaulted"),
		grants + "v1beta1":     strings.Replace(stored[grants+"v1beta1"], "/v1beta1", "/v1", 1),
	} {
		if value, _ := read(key); value != want {
			t.Errorf("%s is stored as\n%s\nwant\n%s", key, value, want)
		}
	}
	for _, key := range []string{routes + "current", routes + "newer"} {
		if value, revision := read(key); revision != before || value != stored[key] {
			t.Errorf("%s was written, and is\n%s", key, value)
		}
	}
	// Other servers of this process count in the same metrics.
	for _, series := range []string{
		fmt.Sprintf(counted, "httproutes", "rewritten"), fmt.Sprintf(counted, "httproutes", "unknown_fields"),
		fmt.Sprintf(counted, "referencegrants", "rewritten"), `gateway_apiserver_storage_migration_objects_remaining{resource="httproutes.gateway.networking.k8s.io"} `,
	} {
		if !strings.Contains(metrics(), series) {
			t.Errorf("no metric %s", series)
		}
	}
	// What clients see was no different before.
	dynamicClient, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	route, err := dynamicClient.Resource(schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}).
		Namespace("default").Get(t.Context(), "undefaulted", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	parents, _, _ := unstructured.NestedSlice(route.Object, "status", "parents")
	if route.GetUID() != "undefaulted-uid" || route.GetGeneration() != 3 || len(parents) != 1 {
		t.Errorf("the HTTPRoute is %v", route.Object)
	}
}

// TestMigrationLog holds what is said of a migration, and that the next one finds nothing.
func TestMigrationLog(t *testing.T) {
	t.Parallel()
	server := idleStandalone(t)
	client := etcdClient(t, server.embedded.Endpoint())
	for i := range 1200 { // more than a page
		name := fmt.Sprintf("r%d", i)
		if _, err := client.Put(t.Context(), storagePrefix+"/gateway.networking.k8s.io/httproutes/default/"+name, " "+fmt.Sprintf(storedRoute, name)); err != nil {
			t.Fatal(err)
		}
	}
	run := func() string {
		logger := ktesting.NewLogger(ktesting.NopTL{}, ktesting.NewConfig(ktesting.BufferLogs(true)))
		migration.Run(klog.NewContext(t.Context(), logger), client, storagePrefix, server.api.Stores)
		return logger.GetSink().(ktesting.Underlier).GetBuffer().String()
	}
	log := run()
	if lines := strings.Split(strings.TrimSpace(log), "\n"); len(lines) != 2 ||
		!strings.Contains(lines[0], "objects=1200") || !strings.Contains(lines[1], "objects=1200 rewritten=1200 failed=0") {
		t.Errorf("logged\n%s", log)
	}
	if log := run(); log != "" {
		t.Errorf("logged when there was nothing to do:\n%s", log)
	}
}

// idleStandalone makes a server that doesn't run, so that nobody else migrates.
func idleStandalone(t *testing.T) *standalone {
	t.Helper()
	config := standaloneConfig{channel: crd.ExperimentalChannel}
	var err error
	if config.dir, err = openDataDir(filepath.Join(t.TempDir(), "data")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(config.dir.close)
	for _, l := range []*net.Listener{&config.apiListen, &config.xdsListen} {
		if *l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = (*l).Close() })
	}
	server, err := newStandalone(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.api.Destroy()
		server.etcd.Close()
		server.embedded.Stop()
	})
	return server
}

// storeRaw puts values below storagePrefix into the etcd of a data directory, in one transaction, and returns its revision.
func storeRaw(t *testing.T, dir *dataDir, values map[string]string) int64 {
	t.Helper()
	server, err := etcd.Start(t.Context(), dir.in("etcd"))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	client := etcdClient(t, server.Endpoint())
	defer client.Close()
	var puts []clientv3.Op
	for key, value := range values {
		puts = append(puts, clientv3.OpPut(storagePrefix+key, value))
	}
	response, err := client.Txn(t.Context()).Then(puts...).Commit()
	if err != nil {
		t.Fatal(err)
	}
	return response.Header.Revision
}

func etcdClient(t *testing.T, endpoint string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop(), DialTimeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}
