package cluster

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Sources are where the core objects of a cluster come from.
type Sources struct {
	Namespaces, Services, EndpointSlices Source
	// Secrets and ConfigMaps can only be had by name.
	Secrets, ConfigMaps NamedSource
}

// NewSources returns the sources of the cluster that config describes.
func NewSources(config *rest.Config) (*Sources, error) {
	config = rest.CopyConfig(config)
	// Core objects are protobuf messages, which are the cheapest to decode.
	config.AcceptContentTypes, config.ContentType = runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON, runtime.ContentTypeProtobuf
	config.QPS = -1 // kube-apiserver protects itself
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	core, discovery := client.CoreV1().RESTClient(), client.DiscoveryV1().RESTClient()
	return &Sources{
		Namespaces:     Source{NamedSource{core, "namespaces"}},
		Services:       Source{NamedSource{core, "services"}},
		EndpointSlices: Source{NamedSource{discovery, "endpointslices"}},
		Secrets:        NamedSource{core, "secrets"},
		ConfigMaps:     NamedSource{core, "configmaps"},
	}, nil
}

// NamedSource lists and watches single objects of a kind. Objects come without managedFields, of which nobody here knows
// anything.
type NamedSource struct {
	client   rest.Interface
	resource string
}

// ListNamed lists the object of a name: one or none.
func (s NamedSource) ListNamed(ctx context.Context, name types.NamespacedName, o metav1.ListOptions) (runtime.Object, error) {
	return s.list(ctx, name.Namespace, named(name, o))
}

// WatchNamed follows the object of a name.
func (s NamedSource) WatchNamed(ctx context.Context, name types.NamespacedName, o metav1.ListOptions) (watch.Interface, error) {
	return s.watch(ctx, name.Namespace, named(name, o))
}

func named(name types.NamespacedName, o metav1.ListOptions) metav1.ListOptions {
	o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name.Name).String()
	return o
}

// Source lists and watches all objects of a kind, or single ones.
type Source struct{ NamedSource }

// ListAll lists the objects of all namespaces.
func (s Source) ListAll(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	return s.list(ctx, metav1.NamespaceAll, o)
}

// WatchAll follows the objects of all namespaces.
func (s Source) WatchAll(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	return s.watch(ctx, metav1.NamespaceAll, o)
}

func (s NamedSource) list(ctx context.Context, namespace string, o metav1.ListOptions) (runtime.Object, error) {
	list, err := s.client.Get().NamespaceIfScoped(namespace, namespace != metav1.NamespaceAll).Resource(s.resource).
		VersionedParams(&o, metav1.ParameterCodec).Do(ctx).Get()
	if err != nil {
		return nil, err
	}
	return list, meta.EachListItem(list, func(obj runtime.Object) error {
		trim(obj)
		return nil
	})
}

func (s NamedSource) watch(ctx context.Context, namespace string, o metav1.ListOptions) (watch.Interface, error) {
	o.Watch = true
	w, err := s.client.Get().NamespaceIfScoped(namespace, namespace != metav1.NamespaceAll).Resource(s.resource).
		VersionedParams(&o, metav1.ParameterCodec).Watch(ctx)
	if err != nil {
		return nil, err
	}
	return trimmed(w), nil
}

// trimmed is a watch whose objects are trimmed. Unlike that of watch.Filter, its goroutine ends although nobody reads the
// last events: watches of single objects are stopped at any time.
func trimmed(w watch.Interface) watch.Interface {
	events := make(chan watch.Event)
	out := watch.NewProxyWatcher(events)
	go func() {
		defer close(events)
		defer w.Stop()
		for {
			select {
			case e, ok := <-w.ResultChan():
				if !ok {
					return
				}
				trim(e.Object)
				select {
				case events <- e:
				case <-out.StopChan():
					return
				}
			case <-out.StopChan():
				return
			}
		}
	}()
	return out
}

func trim(obj runtime.Object) {
	if o, err := meta.Accessor(obj); err == nil {
		o.SetManagedFields(nil)
	}
}
