package transfer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// Controller is gateway-apiserver as the writer of status.
type Controller struct {
	// Name is its controllerName. The domain of that is the prefix of further conditions of its own.
	Name string
	// Conditions are the types of the conditions that it sets on the objects that it manages, next to those of others.
	Conditions []string
}

func (c Controller) domain() string {
	domain, _, _ := strings.Cut(c.Name, "/")
	return domain + "/"
}

// OthersStatus returns the part of an object's status that the controller has not written, or nil if there is none.
// managed says that the controller manages the object: then only conditions may be somebody else's.
func (c Controller) OthersStatus(o *unstructured.Unstructured, managed bool) map[string]any {
	status, _, _ := unstructured.NestedMap(o.Object, "status") // a copy
	if o.GroupVersionKind().GroupKind() == namespaceKind {
		return nil // it tells where in its life the Namespace is
	}
	if managed {
		status = map[string]any{
			"conditions": c.othersConditions(status["conditions"]),
			"listeners":  c.othersListeners(status["listeners"]),
		}
	} else if conditions, ok := status["conditions"].([]any); ok {
		status["conditions"] = slices.DeleteFunc(conditions, isPending)
	}
	for _, field := range []string{"parents", "ancestors"} {
		entries, ok := status[field].([]any)
		if !ok {
			continue
		}
		status[field] = slices.DeleteFunc(entries, func(entry any) bool {
			e, _ := entry.(map[string]any)
			return e["controllerName"] == c.Name
		})
	}
	for field, value := range status {
		if isEmpty(value) {
			delete(status, field)
		}
	}
	if len(status) == 0 {
		return nil
	}
	return status
}

// isPending says whether a condition is one that the CRDs give a new object, which waits for a controller: nobody has written
// it, and gateway-apiserver completes it with what is missing.
func isPending(condition any) bool {
	fields, _ := condition.(map[string]any)
	message, _ := fields["message"].(string)
	return fields["status"] == string(metav1.ConditionUnknown) && fields["reason"] == "Pending" && strings.HasPrefix(message, "Waiting for controller")
}

func (c Controller) othersConditions(conditions any) []any {
	list, _ := conditions.([]any)
	return slices.DeleteFunc(list, func(condition any) bool {
		fields, _ := condition.(map[string]any)
		t, _ := fields["type"].(string)
		return slices.Contains(c.Conditions, t) || strings.HasPrefix(t, c.domain())
	})
}

// othersListeners returns the listeners that have conditions of others, with nothing but these.
func (c Controller) othersListeners(listeners any) (out []any) {
	list, _ := listeners.([]any)
	for _, listener := range list {
		l, _ := listener.(map[string]any)
		if conditions := c.othersConditions(l["conditions"]); len(conditions) > 0 {
			out = append(out, map[string]any{"name": l["name"], "conditions": conditions})
		}
	}
	return out
}

func isEmpty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, inner := range v {
			if !isEmpty(inner) {
				return false
			}
		}
		return true
	}
	return false
}

// Lookup returns a GatewayClass or a Gateway, in any version, or nil if there is none.
type Lookup func(ctx context.Context, kind, namespace, name string) (*unstructured.Unstructured, error)

// Management knows which objects of a server the controller manages: GatewayClasses and meshes name it, and the others
// belong to a GatewayClass in the end. Its own kinds are its own. It can be asked concurrently.
type Management struct {
	Controller
	lookup Lookup

	mu    sync.Mutex
	known map[ref]bool // of the GatewayClasses and Gateways that were asked for
}

// ref identifies an object that another one refers to.
type ref struct{ kind, namespace, name string }

// NewManagement returns what is known of the objects that lookup finds. Each is asked for once.
func NewManagement(c Controller, lookup Lookup) *Management {
	return &Management{Controller: c, lookup: lookup, known: map[ref]bool{}}
}

// Has says whether the controller manages an object. One whose GatewayClass is missing is managed by nobody.
func (m *Management) Has(ctx context.Context, o *unstructured.Unstructured) (bool, error) {
	switch o.GroupVersionKind().Group {
	case ownGroup:
		return true, nil
	case gatewayGroup, gatewayXGroup:
	default:
		return false, nil
	}
	text := func(fields ...string) string {
		s, _, _ := unstructured.NestedString(o.Object, append([]string{"spec"}, fields...)...)
		return s
	}
	switch o.GetKind() {
	case "GatewayClass", "XMesh":
		return text("controllerName") == m.Name, nil
	case "Gateway":
		return m.hasRef(ctx, ref{kind: "GatewayClass", name: text("gatewayClassName")})
	case "ListenerSet", "XListenerSet":
		namespace := text("parentRef", "namespace")
		if namespace == "" {
			namespace = o.GetNamespace()
		}
		return m.hasRef(ctx, ref{kind: "Gateway", namespace: namespace, name: text("parentRef", "name")})
	}
	return false, nil
}

func (m *Management) hasRef(ctx context.Context, r ref) (bool, error) {
	m.mu.Lock()
	managed, ok := m.known[r]
	m.mu.Unlock()
	if ok || r.name == "" {
		return managed, nil
	}
	o, err := m.lookup(ctx, r.kind, r.namespace, r.name)
	if err != nil {
		return false, fmt.Errorf("reading %s %s: %w", r.kind, r.name, err)
	}
	if o != nil {
		if managed, err = m.Has(ctx, o); err != nil {
			return false, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[r] = managed
	return managed, nil
}

// lookupIn finds GatewayClasses and Gateways on a server, in the version that it prefers.
func lookupIn(client dynamic.Interface, catalog *catalog) Lookup {
	return func(ctx context.Context, kind, namespace, name string) (*unstructured.Unstructured, error) {
		served := catalog.kind(schema.GroupKind{Group: gatewayGroup, Kind: kind})
		if served == nil {
			return nil, nil
		}
		o, err := in(client, served.versions[0], namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return o, err
	}
}

// in returns the client of a kind in a namespace, if it has one.
func in(client dynamic.Interface, v servedVersion, namespace string) dynamic.ResourceInterface {
	if !v.namespaced {
		return client.Resource(v.gvr())
	}
	return client.Resource(v.gvr()).Namespace(namespace)
}
