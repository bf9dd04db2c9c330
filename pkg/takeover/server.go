package takeover

import (
	"context"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// serverSide is gateway-apiserver, asked directly.
type serverSide struct {
	client dynamic.Interface
	// keeping is a client for creates and updates that keep the objects' identity.
	keeping dynamic.Interface
	dryRun  bool
}

var _ side = serverSide{}

// keepIdentity is the header that says so, see pkg/apiserver.
const keepIdentity = "Gateway-Apiserver-Keep-Identity"

func newServerSide(config *rest.Config, dryRun bool) (serverSide, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return serverSide{}, err
	}
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return keepingTransport{next} })
	keeping, err := dynamic.NewForConfig(config)
	return serverSide{client: client, keeping: keeping, dryRun: dryRun}, err
}

// keepingTransport adds the header to requests.
type keepingTransport struct{ http.RoundTripper }

func (t keepingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set(keepIdentity, "true")
	return t.RoundTripper.RoundTrip(req)
}

func (serverSide) String() string      { return "gateway-apiserver" }
func (serverSide) annotation() string  { return takeoverAnnotation }
func (serverSide) keepsIdentity() bool { return true }

func (s serverSide) resource(l *lane) dynamic.NamespaceableResourceInterface {
	return s.client.Resource(l.storage)
}

func (s serverSide) keepingIn(l *lane, namespace string) dynamic.ResourceInterface {
	if !l.namespaced {
		return s.keeping.Resource(l.storage)
	}
	return s.keeping.Resource(l.storage).Namespace(namespace)
}

func (serverSide) want(l *lane, source, _ *object) content {
	o := source.Unstructured
	if o.GroupVersionKind().Version != l.storage.Version { // from the side door
		o = o.DeepCopy()
		o.SetAPIVersion(l.storage.GroupVersion().String())
	}
	moved := withSuccessors(o)
	if moved == o {
		return source.content
	}
	return contentOf(moved, source.Status)
}

// create is one write: the object is there as it was on the other side, or not at all.
func (s serverSide) create(ctx context.Context, l *lane, m *moving) (types.UID, error) {
	o := s.body(l, m)
	o.SetDeletionTimestamp(m.source.GetDeletionTimestamp())
	created, err := s.keepingIn(l, o.GetNamespace()).Create(ctx, o, metav1.CreateOptions{
		FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict, DryRun: dryRunOption(s.dryRun),
	})
	if err != nil {
		return "", err
	}
	return created.GetUID(), nil
}

func (s serverSide) update(ctx context.Context, l *lane, m *moving, have *unstructured.Unstructured) (types.UID, error) {
	o := s.body(l, m)
	o.SetResourceVersion(have.GetResourceVersion())
	deletes := m.want.Deleting && have.GetDeletionTimestamp() == nil
	if deletes {
		o.SetGeneration(max(1, o.GetGeneration()-1)) // the deletion adds one
	}
	updated, err := s.keepingIn(l, o.GetNamespace()).Update(ctx, o, metav1.UpdateOptions{
		FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict, DryRun: dryRunOption(s.dryRun),
	})
	if err != nil || s.dryRun {
		return have.GetUID(), err
	}
	if deletes {
		err = deleteObject(ctx, namespaced(s, l, o.GetNamespace()), updated)
	}
	return updated.GetUID(), err
}

// finish has nothing to do: objects are written whole.
func (serverSide) finish(context.Context, *lane, *moving, *unstructured.Unstructured) error {
	return nil
}

// body returns the object as it was on the other side: what the server understands by other fields' names, it does itself.
func (s serverSide) body(l *lane, m *moving) *unstructured.Unstructured {
	asIs := *m
	asIs.want = m.source.content
	o := asIs.body(l.storage.GroupVersion().String(), s.annotation())
	o.SetUID(m.source.GetUID())
	o.SetCreationTimestamp(m.source.GetCreationTimestamp())
	o.SetGeneration(max(1, m.source.GetGeneration()))
	if len(m.want.Managers) > 0 {
		o.Object["metadata"].(map[string]any)["managedFields"] = m.want.Managers
	}
	if status, ok := m.source.Object["status"]; ok && l.status {
		o.Object["status"] = status
	}
	return o
}

func (s serverSide) remove(ctx context.Context, l *lane, have *unstructured.Unstructured) error {
	if s.dryRun {
		return nil
	}
	if len(have.GetFinalizers()) > 0 {
		o := have.DeepCopy()
		o.SetFinalizers(nil)
		o.SetDeletionTimestamp(nil)
		released, err := s.keepingIn(l, o.GetNamespace()).Update(ctx, o, metav1.UpdateOptions{FieldManager: fieldManager})
		if isGone(err) || err == nil && have.GetDeletionTimestamp() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		have = released
	}
	return deleteObject(ctx, namespaced(s, l, have.GetNamespace()), have)
}

func (s serverSide) record(ctx context.Context, l *lane, have *unstructured.Unstructured, r record) error {
	o := have.DeepCopy()
	setAnnotation(o, s.annotation(), r.String())
	o.SetDeletionTimestamp(nil)
	_, err := s.keepingIn(l, o.GetNamespace()).Update(ctx, o, metav1.UpdateOptions{FieldManager: fieldManager, DryRun: dryRunOption(s.dryRun)})
	return err
}

func setAnnotation(o *unstructured.Unstructured, key, value string) {
	annotations := o.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[key] = value
	o.SetAnnotations(annotations)
}
