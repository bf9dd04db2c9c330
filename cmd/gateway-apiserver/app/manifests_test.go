package app

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/manifests"
)

// startStandalone runs a standalone server until the test ends, and returns it and how to reach it.
func startStandalone(t *testing.T) (*standalone, *rest.Config) {
	t.Helper()
	dir, err := openDataDir(filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	return startStandaloneOn(t, dir)
}

// startStandaloneOn is startStandalone on a data directory, which it closes.
func startStandaloneOn(t *testing.T, dir *dataDir) (*standalone, *rest.Config) {
	t.Helper()
	var listeners [2]net.Listener
	for i := range listeners {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[i] = l
	}
	ctx, cancel := context.WithCancel(context.Background())
	server, err := newStandalone(ctx, standaloneConfig{dir: dir, apiListen: listeners[0], xdsListen: listeners[1], channel: crd.ExperimentalChannel})
	if err != nil {
		t.Fatal(err)
	}
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := server.run(ctx, writer)
		writer.CloseWithError(errors.Join(io.EOF, err))
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		dir.close()
	})
	if line, err := bufio.NewReader(reader).ReadString('\n'); err != nil || !strings.Contains(line, "is ready") {
		t.Fatalf("printed %q, then %v", line, err)
	}
	go io.Copy(io.Discard, reader)
	config, err := clientcmd.BuildConfigFromFlags("", dir.in(kubeconfigFile))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	return server, config
}

// followed is a directory of manifests and the server that is made to follow it.
type followed struct {
	*testing.T
	config *rest.Config
	client dynamic.Interface
	dir    string
}

func follow(t *testing.T, config *rest.Config) *followed {
	t.Parallel()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return &followed{t, config, client, filepath.Join(t.TempDir(), "manifests")}
}

// write writes a file in the directory at once, as editors do: by renaming a new one.
func (f *followed) write(name string, documents ...string) {
	f.Helper()
	file := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		f.Fatal(err)
	}
	temporary := filepath.Join(f.T.TempDir(), "new")
	if err := os.WriteFile(temporary, []byte(strings.Join(documents, "---\n")), 0o644); err != nil {
		f.Fatal(err)
	}
	if err := os.Rename(temporary, file); err != nil {
		f.Fatal(err)
	}
}

func (f *followed) remove(name string) {
	f.Helper()
	if err := os.Remove(filepath.Join(f.dir, name)); err != nil {
		f.Fatal(err)
	}
}

// run starts a follower that deletes without delay. It returns after its first pass; stop ends it, and logged is what it logged.
func (f *followed) run() (stop func(), logged func() string) {
	f.Helper()
	follower, err := manifests.New([]string{f.dir}, f.config)
	if err != nil {
		f.Fatal(err)
	}
	follower.Grace = 0
	logger := ktesting.NewLogger(ktesting.NopTL{}, ktesting.NewConfig(ktesting.BufferLogs(true)))
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), logger))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		follower.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	f.Cleanup(stop)
	select {
	case <-follower.Synced():
	case <-time.After(time.Minute):
		f.Fatal("no first pass")
	}
	return stop, logger.GetSink().(ktesting.Underlier).GetBuffer().String
}

// eventually waits until a condition holds.
func (f *followed) eventually(what string, condition func() bool) {
	f.Helper()
	err := wait.PollUntilContextTimeout(context.Background(), 20*time.Millisecond, 15*time.Second, true, func(context.Context) (bool, error) {
		return condition(), nil
	})
	if err != nil {
		f.Fatalf("never: %s", what)
	}
}

var (
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	routes     = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}
)

// get returns an object, or nil if it isn't there. Its namespace is empty for a kind that has none.
func (f *followed) get(resource schema.GroupVersionResource, namespace, name string) *unstructured.Unstructured {
	f.Helper()
	object, err := f.client.Resource(resource).Namespace(namespace).Get(context.Background(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		f.Fatal(err)
	}
	return object
}

// value returns what a ConfigMap of the namespace default holds, or "gone".
func (f *followed) value(name string) string {
	f.Helper()
	object := f.get(configMaps, "default", name)
	if object == nil {
		return "gone"
	}
	value, _, _ := unstructured.NestedString(object.Object, "data", "value")
	return value
}

func (f *followed) becomes(name, value string) {
	f.Helper()
	f.eventually(name+" becomes "+value, func() bool { return f.value(name) == value })
}

// create creates a ConfigMap as a user does, who may have copied it from a file's.
func (f *followed) create(namespace, name, copiedFrom string) {
	f.Helper()
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name}, "data": map[string]any{"value": "by a user"},
	}}
	if copiedFrom != "" {
		object.SetAnnotations(map[string]string{manifests.Annotation: filepath.Join(f.dir, copiedFrom)})
	}
	if _, err := f.client.Resource(configMaps).Namespace(namespace).Create(context.Background(), object, metav1.CreateOptions{}); err != nil {
		f.Fatal(err)
	}
}

func configMap(name, value string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {value: '" + value + "'}\n"
}

func TestManifests(t *testing.T) {
	t.Parallel()
	_, config := startStandalone(t)
	// Subtests run in parallel, and share the server: each has its own names. The group ends before the server does.
	t.Run("group", func(t *testing.T) {
		for name, test := range map[string]func(*followed){
			"order does not matter":                          manifestsInAnyOrder,
			"what is wrong is reported and harms no other":   manifestsWithMistakes,
			"what can be mended elsewhere is tried again":    manifestsTriedAgain,
			"what leaves the files is deleted":               manifestsThatLeave,
			"what was there before is not deleted":           manifestsOfOthers,
			"a Namespace with what others made stays":        manifestsOfNamespace,
			"nothing is deleted while anything is wrong":     manifestsThatLeaveWithMistakes,
			"a restart deletes what left in the meantime":    manifestsAfterRestart,
			"a restart with an empty directory deletes none": manifestsNotMounted,
			"a ConfigMap volume":                             manifestsOfConfigMapVolume,
			"a directory that is replaced":                   manifestsOfNewDirectory,
			"a server that is not there yet":                 manifestsBeforeServer,
		} {
			t.Run(name, func(t *testing.T) { test(follow(t, config)) })
		}
	})
}

func manifestsInAnyOrder(f *followed) {
	f.write("a.yaml", `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: any-order, namespace: any-order}
spec:
  parentRefs: [{name: web}]
`, configMap("any-order", "1"))
	f.write("b.json", `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "any-order"}}`)
	_, logged := f.run()
	if f.get(routes, "any-order", "any-order") == nil || f.get(namespaces, "", "any-order") == nil {
		f.Error("not everything was applied in the first pass")
	}
	object := f.get(configMaps, "default", "any-order")
	if object == nil || object.GetAnnotations()[manifests.Annotation] != filepath.Join(f.dir, "a.yaml") {
		f.Errorf("got %v, want it in the namespace default and with its file", object)
	}
	if strings.Contains(logged(), "not applied") {
		f.Error(logged())
	}
}

func manifestsWithMistakes(f *followed) {
	good := configMap("mistakes", "1")
	f.write("good.yaml", good)
	_, logged := f.run()
	f.write("good.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mistakes}\ndata: {value: 2}\n", configMap("mistakes-other", "1"))
	f.write("bad.yaml", `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: mistakes-unknown}
spec:
  parentRefz: []
`, `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: mistakes-invalid}
spec:
  hostnames: ["not valid"]
`, "kind: [\n", `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRouet
metadata: {name: mistakes-kind}
`)
	f.becomes("mistakes-other", "1")
	bad := filepath.Join(f.dir, "bad.yaml")
	for _, want := range [][]string{
		{`file="` + filepath.Join(f.dir, "good.yaml") + `"`, `document=1`, `line=1`, `object="ConfigMap mistakes"`, `field="data.value`},
		{`file="` + bad + `"`, `document=1`, `line=1`, `object="HTTPRoute mistakes-unknown"`, `field="spec.parentRefz"`},
		{`file="` + bad + `"`, `document=2`, `line=7`, `object="HTTPRoute mistakes-invalid"`, `field="spec.hostnames[0]"`},
		{`file="` + bad + `"`, `document=3`, `line=13`, `yaml: line 1`},
		{`file="` + bad + `"`, `document=4`, `line=15`, `object="HTTPRouet mistakes-kind"`, `no matches for kind`},
	} {
		f.eventually("a line of the log with "+strings.Join(want, " ")+"\n"+logged(), func() bool {
			for line := range strings.Lines(logged()) {
				all := true
				for _, part := range want {
					all = all && strings.Contains(line, part)
				}
				if all {
					return true
				}
			}
			return false
		})
	}
	if got := f.value("mistakes"); got != "1" {
		f.Errorf("the ConfigMap holds %s, want what was good", got)
	}
	f.remove("bad.yaml")
	f.write("good.yaml", configMap("mistakes", "3"), configMap("mistakes-other", "1"))
	f.becomes("mistakes", "3")
}

func manifestsTriedAgain(f *followed) {
	f.write("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: again, namespace: later}\n")
	_, logged := f.run()
	if !strings.Contains(logged(), `namespaces \"later\" not found`) {
		f.Errorf("not reported:\n%s", logged())
	}
	namespace := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "later"}}}
	if _, err := f.client.Resource(namespaces).Create(context.Background(), namespace, metav1.CreateOptions{}); err != nil {
		f.Fatal(err)
	}
	f.eventually("applied once its Namespace is there", func() bool { return f.get(configMaps, "later", "again") != nil })
}

func manifestsThatLeave(f *followed) {
	f.write("a.yaml", configMap("leave-one", "1"), configMap("leave-two", "1"))
	f.write("b.yaml", configMap("leave-three", "1"))
	f.create("default", "leave-by-user", "")
	f.run()
	f.write("a.yaml", configMap("leave-two", "2"))
	f.becomes("leave-one", "gone")
	f.remove("b.yaml")
	f.becomes("leave-three", "gone")
	f.remove("a.yaml") // the last
	f.becomes("leave-two", "gone")
	if got := f.value("leave-by-user"); got != "by a user" {
		f.Errorf("what a user made is %s", got)
	}
}

func manifestsOfOthers(f *followed) {
	f.create("default", "others", "")
	f.create("default", "others-copy", "a.yaml")
	f.write("a.yaml", configMap("others", "1"), configMap("others-copy", "1"), configMap("others-new", "1"))
	stop, _ := f.run()
	f.becomes("others", "1")
	f.write("a.yaml", configMap("others-new", "2"))
	f.becomes("others-new", "2")
	stop()
	f.remove("a.yaml")
	f.write("b.yaml", "# nothing\n")
	f.run()
	f.becomes("others-new", "gone")
	if f.value("others") != "1" || f.value("others-copy") != "1" {
		f.Error("what was there before is gone, want it as the file left it")
	}
}

func manifestsOfNamespace(f *followed) {
	const namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shared}\n"
	f.write("a.yaml", namespace, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ours, namespace: shared}\n")
	_, logged := f.run()
	f.create("shared", "by-user", "")
	f.remove("a.yaml")
	f.eventually("the report that the Namespace stays", func() bool {
		return strings.Contains(logged(), "the Namespace holds objects that no manifest made, such as ConfigMap by-user")
	})
	if f.get(configMaps, "shared", "ours") != nil {
		f.Error("what it held of ours is still there")
	}
	if err := f.client.Resource(configMaps).Namespace("shared").Delete(context.Background(), "by-user", metav1.DeleteOptions{}); err != nil {
		f.Fatal(err)
	}
	f.eventually("the Namespace is gone", func() bool { return f.get(namespaces, "", "shared") == nil })
}

func manifestsThatLeaveWithMistakes(f *followed) {
	f.write("a.yaml", configMap("wrong", "1"))
	f.write("b.yaml", configMap("wrong-other", "1"))
	_, logged := f.run()
	f.write("b.yaml", "a: b: c\n")
	f.eventually("a report", func() bool { return strings.Contains(logged(), "b.yaml") })
	f.remove("a.yaml")
	f.write("c.yaml", configMap("wrong-sentinel", "1"))
	f.becomes("wrong-sentinel", "1")
	f.write("c.yaml", configMap("wrong-sentinel", "2")) // one whole pass after the removal
	f.becomes("wrong-sentinel", "2")
	if f.value("wrong") != "1" || f.value("wrong-other") != "1" {
		f.Error("deleted though a file could not be read")
	}
	f.write("b.yaml", configMap("wrong-other", "2"))
	f.becomes("wrong", "gone")
}

func manifestsAfterRestart(f *followed) {
	f.write("a.yaml", configMap("restart-one", "1"), configMap("restart-two", "1"))
	stop, _ := f.run()
	stop()
	f.create("default", "restart-copy", "a.yaml") // the annotation alone doesn't make it the follower's
	f.write("a.yaml", configMap("restart-two", "1"))
	f.run()
	f.becomes("restart-one", "gone")
	if f.value("restart-two") != "1" || f.value("restart-copy") != "by a user" {
		f.Error("deleted too much")
	}
}

func manifestsNotMounted(f *followed) {
	f.write("a.yaml", configMap("mounted", "1"))
	stop, _ := f.run()
	stop()
	f.remove("a.yaml")
	_, logged := f.run()
	f.eventually("a report", func() bool { return strings.Contains(logged(), "Object kept") })
	if f.value("mounted") != "1" {
		f.Error("deleted because of an empty directory")
	}
}

func manifestsOfConfigMapVolume(f *followed) {
	f.write("..v1/a.yaml", configMap("volume", "1"))
	f.write("..v2/a.yaml", configMap("volume", "2"))
	for link, to := range map[string]string{"..data": "..v1", "a.yaml": "..data/a.yaml"} {
		if err := os.Symlink(to, filepath.Join(f.dir, link)); err != nil {
			f.Fatal(err)
		}
	}
	f.run()
	f.becomes("volume", "1")
	if err := os.Symlink("..v2", filepath.Join(f.dir, "..data_tmp")); err != nil {
		f.Fatal(err)
	}
	if err := os.Rename(filepath.Join(f.dir, "..data_tmp"), filepath.Join(f.dir, "..data")); err != nil {
		f.Fatal(err)
	}
	f.becomes("volume", "2")
}

func manifestsOfNewDirectory(f *followed) {
	f.write("a.yaml", configMap("directory", "1"))
	_, logged := f.run()
	if err := os.Rename(f.dir, f.dir+".old"); err != nil {
		f.Fatal(err)
	}
	f.eventually("a report", func() bool { return strings.Contains(logged(), "no such file or directory") })
	if f.value("directory") != "1" {
		f.Error("deleted because the directory is gone")
	}
	f.write("a.yaml", configMap("directory", "2"))
	f.becomes("directory", "2")
	f.write("a.yaml", configMap("directory", "3")) // told by the new directory's watch
	f.becomes("directory", "3")
}

func manifestsBeforeServer(f *followed) {
	var up atomic.Bool
	f.config = rest.CopyConfig(f.config)
	f.config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if !up.Swap(true) {
			return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	f.write("a.yaml", configMap("before", "1"))
	_, logged := f.run()
	f.becomes("before", "1")
	if !strings.Contains(logged(), "Manifests wait for the API server") {
		f.Error("it was not said that the server is not there")
	}
}
