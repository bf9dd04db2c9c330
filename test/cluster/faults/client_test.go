package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph/graphtest"
)

// resources are what the kinds of histories are called.
var resources = map[graph.Kind]schema.GroupVersionResource{
	graph.KindGatewayClass:         {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gatewayclasses"},
	graph.KindGateway:              {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"},
	graph.KindHTTPRoute:            {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"},
	graph.KindGRPCRoute:            {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "grpcroutes"},
	graph.KindReferenceGrant:       {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "referencegrants"},
	graph.KindBackendTLSPolicy:     {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "backendtlspolicies"},
	graph.KindBackendTrafficPolicy: {Group: "gateway.networking.x-k8s.io", Version: "v1alpha1", Resource: "xbackendtrafficpolicies"},

	graph.KindNamespace:     {Version: "v1", Resource: "namespaces"},
	graph.KindService:       {Version: "v1", Resource: "services"},
	graph.KindSecret:        {Version: "v1", Resource: "secrets"},
	graph.KindConfigMap:     {Version: "v1", Resource: "configmaps"},
	graph.KindEndpointSlice: {Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
}

// core says whether kube-apiserver stores the kind, and not our server.
func core(kind graph.Kind) bool {
	group := resources[kind].Group
	return group == "" || group == "discovery.k8s.io"
}

// listPath returns the path of all objects of a kind, in a namespace or, if that is empty, in all.
func listPath(kind graph.Kind, namespace string) string {
	r := resources[kind]
	path := "/api/" + r.Version
	if r.Group != "" {
		path = "/apis/" + r.Group + "/" + r.Version
	}
	if namespace != "" {
		path += "/namespaces/" + namespace
	}
	return path + "/" + r.Resource
}

func objectPath(key graph.Key) string { return listPath(key.Kind, key.Namespace) + "/" + key.Name }

// marker is the annotation that says which write an object comes from.
const marker = "faults.test/write"

// requestTimeout is when an answer is no longer waited for: nobody knows then what became of the request.
const requestTimeout = 20 * time.Second

// client writes histories, each change as soon as the one before is answered.
type client struct {
	name string
	// ours is for the kinds of our server, on the way that is tested; core leads to kube-apiserver.
	ours, core rest.Interface
	ledger     *ledger

	version  uint64 // of its last write
	sequence int
	// answered counts the writes that were acknowledged, and failed the requests that failed for other reasons than those
	// that histories have to expect.
	answered, failed atomic.Int64

	mu   sync.Mutex
	last error // why one failed
}

// restClient sends requests to any path. It never sends one twice, as then it couldn't tell which answer is whose.
func restClient(t testing.TB, config *rest.Config) rest.Interface {
	t.Helper()
	config = rest.CopyConfig(config)
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	config.QPS = -1
	c, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// send returns the answer to a request.
func send(ctx context.Context, request *rest.Request) ([]byte, error) {
	result := request.MaxRetries(0).Do(ctx)
	if err := result.Error(); err != nil { // which has the server's words
		return nil, err
	}
	return result.Raw()
}

// run writes one history after the other until ctx ends, and never leaves a request without its answer.
func (c *client) run(ctx context.Context, seed uint64) {
	for ; ctx.Err() == nil; seed++ {
		for change := range graphtest.New(graphtest.Random(seed, 2000)).Changes() {
			if ctx.Err() != nil {
				return
			}
			c.write(change)
		}
	}
}

// write makes a change, and has the ledger know what became of it.
func (c *client) write(change graphtest.Change) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	c.sequence++
	w := write{key: change.Key, marker: fmt.Sprintf("%s/%d", c.name, c.sequence), deletes: change.Action == graphtest.Delete}
	if core(change.Key.Kind) {
		c.writeCore(ctx, change, w.marker)
		return
	}
	answer, err := c.request(ctx, change, w.marker)
	switch {
	case err == nil:
		if err := c.acknowledged(&w, answer); err != nil {
			c.ledger.fail("%s: %s: %w", c.name, change, err)
			return
		}
		c.answered.Add(1)
		c.ledger.add(w)
	case refused(err):
	default:
		c.fail(fmt.Errorf("%s: %w", change, err))
		if w.lost = arrived(err); w.lost {
			c.ledger.add(w)
		}
		time.Sleep(retryAfter)
	}
}

// refused says whether a request has surely changed nothing, for a reason that histories have to expect.
func refused(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
}

// arrived says whether a request may have reached a server before it failed.
func arrived(err error) bool {
	op := &net.OpError{}
	return !errors.As(err, &op) || op.Op != "dial"
}

func (c *client) fail(err error) {
	c.failed.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = err
}

// lastFailure is the error of the last request that failed.
func (c *client) lastFailure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// writeCore makes a change to a core object. Kube-apiserver answers for that, and not the ledger.
func (c *client) writeCore(ctx context.Context, change graphtest.Change, mark string) {
	if change.Action != graphtest.Delete {
		_, _ = c.apply(ctx, c.core, change, mark)
	} else if change.Key.Kind != graph.KindNamespace { // all would be gone
		_, _ = send(ctx, c.core.Delete().AbsPath(objectPath(change.Key)))
	}
}

// request makes a change with the verb that fits it.
func (c *client) request(ctx context.Context, change graphtest.Change, mark string) ([]byte, error) {
	path := objectPath(change.Key)
	switch change.Action {
	case graphtest.Delete:
		return send(ctx, c.ours.Delete().AbsPath(path))
	case graphtest.Touch:
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{marker: mark}}})
		if err != nil {
			return nil, err
		}
		return send(ctx, c.ours.Patch(types.MergePatchType).AbsPath(path).Body(patch))
	case graphtest.Modify:
		return c.apply(ctx, c.ours, change, mark)
	default:
		return c.put(ctx, change, mark)
	}
}

// apply sends the object for a server-side apply.
func (c *client) apply(ctx context.Context, to rest.Interface, change graphtest.Change, mark string) ([]byte, error) {
	body, err := json.Marshal(manifest(change, mark))
	if err != nil {
		return nil, err
	}
	return send(ctx, to.Patch(types.ApplyPatchType).AbsPath(objectPath(change.Key)).Param("fieldManager", "faults").Param("force", "true").Body(body))
}

// put replaces the object, or creates it if there is none.
func (c *client) put(ctx context.Context, change graphtest.Change, mark string) ([]byte, error) {
	obj := manifest(change, mark)
	data, err := send(ctx, c.ours.Get().AbsPath(objectPath(change.Key)))
	request := c.ours.Put().AbsPath(objectPath(change.Key))
	switch {
	case apierrors.IsNotFound(err):
		request = c.ours.Post().AbsPath(listPath(change.Key.Kind, change.Key.Namespace))
	case err != nil:
		return nil, err
	default:
		var there metav1.PartialObjectMetadata
		if err := json.Unmarshal(data, &there); err != nil {
			return nil, err
		}
		obj.SetResourceVersion(there.ResourceVersion)
	}
	body, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	return send(ctx, request.Body(body))
}

// manifest is the object of a change as a client sends it.
func manifest(change graphtest.Change, mark string) *unstructured.Unstructured {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(change.Object)
	if err != nil {
		panic(err) // histories are made of API types
	}
	delete(content, "status")
	obj := &unstructured.Unstructured{Object: content}
	obj.SetGroupVersionKind(resources[change.Key.Kind].GroupVersion().WithKind(string(change.Key.Kind)))
	obj.SetManagedFields(nil)
	obj.SetResourceVersion("")
	obj.SetCreationTimestamp(metav1.Time{})
	unstructured.RemoveNestedField(content, "metadata", "generation")
	obj.SetAnnotations(map[string]string{marker: mark})
	return obj
}

// acknowledged takes in what the server has answered.
func (c *client) acknowledged(w *write, answer []byte) error {
	if w.deletes {
		var status metav1.Status
		if err := json.Unmarshal(answer, &status); err != nil {
			return err
		}
		if status.Details == nil || status.Details.UID == "" {
			return fmt.Errorf("the answer does not say which object was deleted: %s", answer)
		}
		w.uid = status.Details.UID
		return nil
	}
	obj, err := decode(answer)
	if err != nil {
		return err
	}
	if got := obj.GetAnnotations()[marker]; got != w.marker {
		return fmt.Errorf("the answer has the object of the write %q, not %q", got, w.marker)
	}
	w.uid, w.object, w.version = obj.GetUID(), obj, versionOf(obj)
	if w.version <= c.version {
		return fmt.Errorf("resource version %d comes after %d", w.version, c.version)
	}
	c.version = w.version
	return nil
}

func decode(data []byte) (*unstructured.Unstructured, error) {
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("%w: %.200s", err, data)
	}
	return obj, nil
}

// versionOf is the resource version, a revision of etcd.
func versionOf(obj metav1.Object) uint64 {
	version, err := strconv.ParseUint(obj.GetResourceVersion(), 10, 64)
	if err != nil {
		panic(err) // a server that sends this is beyond testing
	}
	return version
}

// expired says whether a watch can't go on from where it ended.
func expired(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code == http.StatusGone
}
