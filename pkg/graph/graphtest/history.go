package graphtest

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

var keys = []graph.Key{
	{Kind: graph.KindGatewayClass, Name: "ours"},
	{Kind: graph.KindGatewayClass, Name: "theirs"},
	{Kind: graph.KindGateway, Namespace: "infra", Name: "gw"},
	{Kind: graph.KindGateway, Namespace: "app", Name: "gw"},
	{Kind: graph.KindGateway, Namespace: "infra", Name: "other"},
	{Kind: graph.KindHTTPRoute, Namespace: "app", Name: "a"},
	{Kind: graph.KindHTTPRoute, Namespace: "app", Name: "b"},
	{Kind: graph.KindHTTPRoute, Namespace: "infra", Name: "a"},
	{Kind: graph.KindGRPCRoute, Namespace: "app", Name: "a"},
	{Kind: graph.KindGRPCRoute, Namespace: "infra", Name: "b"},
	{Kind: graph.KindTLSRoute, Namespace: "app", Name: "a"},
	{Kind: graph.KindTLSRoute, Namespace: "infra", Name: "b"},
	{Kind: graph.KindTCPRoute, Namespace: "app", Name: "a"},
	{Kind: graph.KindTCPRoute, Namespace: "app", Name: "b"},
	{Kind: graph.KindUDPRoute, Namespace: "app", Name: "a"},
	{Kind: graph.KindListenerSet, Namespace: "app", Name: "gw"},
	{Kind: graph.KindListenerSet, Namespace: "infra", Name: "gw"},
	{Kind: graph.KindListenerSet, Namespace: "infra", Name: "more"},
	{Kind: graph.KindEnvoyFleet, Namespace: "infra", Name: "fleet"},
	{Kind: graph.KindEnvoyFleet, Namespace: "app", Name: "fleet"},
	{Kind: graph.KindReferenceGrant, Namespace: "app", Name: "g"},
	{Kind: graph.KindReferenceGrant, Namespace: "infra", Name: "g"},
	{Kind: graph.KindReferenceGrant, Namespace: "infra", Name: "h"},
	{Kind: graph.KindNamespace, Name: "app"},
	{Kind: graph.KindNamespace, Name: "infra"},
	{Kind: graph.KindService, Namespace: "app", Name: "s"},
	{Kind: graph.KindService, Namespace: "infra", Name: "s"},
	{Kind: graph.KindService, Namespace: "app", Name: gatewayService},
	{Kind: graph.KindSecret, Namespace: "app", Name: "c"},
	{Kind: graph.KindSecret, Namespace: "infra", Name: "c"},
	{Kind: graph.KindEndpointSlice, Namespace: "app", Name: "s-1"},
	{Kind: graph.KindEndpointSlice, Namespace: "app", Name: "s-2"},
	{Kind: graph.KindEndpointSlice, Namespace: "infra", Name: "s-1"},
	{Kind: graph.KindConfigMap, Namespace: "app", Name: "ca"},
	{Kind: graph.KindConfigMap, Namespace: "infra", Name: "ca"},
	{Kind: graph.KindBackendTLSPolicy, Namespace: "app", Name: "p"},
	{Kind: graph.KindBackendTLSPolicy, Namespace: "app", Name: "q"},
	{Kind: graph.KindBackendTLSPolicy, Namespace: "infra", Name: "p"},
	{Kind: graph.KindBackendTrafficPolicy, Namespace: "app", Name: "p"},
	{Kind: graph.KindBackendTrafficPolicy, Namespace: "app", Name: "q"},
	{Kind: graph.KindBackendTrafficPolicy, Namespace: "infra", Name: "p"},
	{Kind: graph.KindBackend, Namespace: "app", Name: "s"},
	{Kind: graph.KindBackend, Namespace: "infra", Name: "s"},
	{Kind: graph.KindMesh, Name: "a"},
	{Kind: graph.KindMesh, Name: "b"},
}

// central are the Gateways, routes and ListenerSets, on which most depends.
var central = keys[2:18]

// Keys returns the objects that there can be in a history.
func Keys() []graph.Key { return slices.Clone(keys) }

// KeysOf returns the objects of a kind that there can be in a history.
func KeysOf(kind graph.Kind) []graph.Key {
	return slices.DeleteFunc(Keys(), func(k graph.Key) bool { return k.Kind != kind })
}

// Backends returns the ports of Services and XBackends that there can be in a history.
func Backends() []graph.BackendKey {
	var backends []graph.BackendKey
	for _, k := range KeysOf(graph.KindService) {
		for _, port := range servicePorts {
			tcp := graph.ServiceBackend(k.NamespacedName(), port)
			udp := tcp
			udp.UDP = true
			backends = append(backends, tcp, udp)
		}
	}
	for _, k := range KeysOf(graph.KindBackend) {
		for _, port := range servicePorts {
			backends = append(backends, graph.BackendKey{Key: k, Port: port})
		}
	}
	return backends
}

// Random returns n bytes, the same for the same seed.
func Random(seed uint64, n int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(data) // never fails
	return data
}

// A History is written, change by change, from bytes: some fifty for each change.
type History struct {
	// Objects are those that there are after the changes so far. They are not written to any more.
	Objects map[graph.Key]metav1.Object

	choices choices
	changes int64
}

// New returns the history that data tells.
func New(data []byte) *History {
	return &History{Objects: map[graph.Key]metav1.Object{}, choices: choices{data}}
}

// Choose decides something else, among n, from the same bytes.
func (h *History) Choose(n int) int { return h.choices.n(n) }

// An Action is a way to change an object.
type Action string

// The actions.
const (
	Apply  Action = "apply"  // a new object, or one that has nothing in common with the one it replaces
	Modify Action = "modify" // one field of an object
	Touch  Action = "touch"  // nothing but metadata and status
	Delete Action = "delete" // also of what isn't there
)

// A Change is a step of a history.
type Change struct {
	Action Action
	Key    graph.Key
	Object metav1.Object // as it is now; nil if it was deleted
}

// String returns, for example, "modify HTTPRoute app/a".
func (c Change) String() string { return fmt.Sprintf("%s %s", c.Action, c.Key) }

// Do makes the change to g and returns what became dirty.
func (c Change) Do(g *graph.Graph) graph.Dirty {
	if c.Action == Delete {
		return g.Delete(c.Key)
	}
	return g.Apply(c.Object)
}

// Changes yields the changes from here to the end of the history. Resource versions count the changes; the generation of
// an object, those to more than its metadata and status.
func (h *History) Changes() iter.Seq[Change] {
	return func(yield func(Change) bool) {
		for len(h.choices.data) > 0 && yield(h.next()) {
		}
	}
}

func (h *History) next() Change {
	c := &h.choices
	h.changes++
	change := Change{Key: randomKey(c)}
	old := h.Objects[change.Key]
	switch action := c.n(8); {
	case action == 0:
		change.Action = Delete
		delete(h.Objects, change.Key)
		return change
	case action == 1 && old != nil:
		change.Action, change.Object = Touch, touch(old)
	case action < 4 && old != nil:
		change.Action, change.Object = Modify, modify(c, old, randomObject(c, change.Key))
	default:
		change.Action, change.Object = Apply, randomObject(c, change.Key)
	}
	change.Object.SetResourceVersion(strconv.FormatInt(h.changes, 10))
	change.Object.SetGeneration(nextGeneration(old, change.Action))
	h.Objects[change.Key] = change.Object
	return change
}

func nextGeneration(old metav1.Object, action Action) int64 {
	switch {
	case old == nil:
		return 1
	case action == Touch:
		return old.GetGeneration()
	default:
		return old.GetGeneration() + 1
	}
}

func randomKey(c *choices) graph.Key {
	if c.flip(2) {
		return pick(c, central...)
	}
	return pick(c, keys...)
}

// touch returns the object as another write of its metadata and status leaves it.
func touch(obj metav1.Object) metav1.Object {
	next := clone(obj)
	next.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "test"}})
	switch o := next.(type) {
	case *gwv1.Gateway: // but for the condition that facts are read from
		o.Status.Conditions = append(slices.DeleteFunc(o.Status.Conditions, func(c metav1.Condition) bool { return c.Type == "Accepted" }),
			metav1.Condition{Type: "Accepted"})
	case *gwv1.HTTPRoute:
		o.Status.Parents = []gwv1.RouteParentStatus{{ControllerName: graph.ControllerName}}
	case *gwv1.GRPCRoute:
		o.Status.Parents = []gwv1.RouteParentStatus{{ControllerName: graph.ControllerName}}
	case *gwv1.TLSRoute:
		o.Status.Parents = []gwv1.RouteParentStatus{{ControllerName: graph.ControllerName}}
	case *gwv1.ListenerSet:
		o.Status.Conditions = []metav1.Condition{{Type: "Accepted"}}
	case *gwv1.BackendTLSPolicy:
		o.Status.Ancestors = []gwv1.PolicyAncestorStatus{{ControllerName: graph.ControllerName}}
	case *gwxv1alpha1.XBackendTrafficPolicy:
		o.Status.Ancestors = []gwv1.PolicyAncestorStatus{{ControllerName: graph.ControllerName}}
	case *gwxv1alpha1.XBackend:
		o.Status.Ancestors = []gwxv1alpha1.BackendAncestorStatus{{ControllerName: graph.ControllerName}}
	case *gwxv1alpha1.XMesh:
		o.Status.Conditions = []metav1.Condition{{Type: "Accepted"}}
	}
	return next
}

// modify returns old with one field of next.
func modify(c *choices, old, next metav1.Object) metav1.Object {
	switch result := clone(old).(type) {
	case *gwv1.Gateway:
		l, from := &result.Spec.Listeners[0], next.(*gwv1.Gateway).Spec.Listeners[0]
		switch c.n(10) {
		case 0:
			l.AllowedRoutes = from.AllowedRoutes
		case 1:
			l.Hostname = from.Hostname
		case 2:
			l.Port = from.Port
		case 3:
			l.TLS = from.TLS
		case 4:
			result.Spec.TLS = next.(*gwv1.Gateway).Spec.TLS
		case 5:
			result.Spec.AllowedListeners = next.(*gwv1.Gateway).Spec.AllowedListeners
		case 6:
			result.Spec.DefaultScope = next.(*gwv1.Gateway).Spec.DefaultScope
		case 7:
			result.Spec.Infrastructure = next.(*gwv1.Gateway).Spec.Infrastructure
		case 8:
			result.Spec.Addresses = next.(*gwv1.Gateway).Spec.Addresses
		case 9:
			result.Status.Addresses = next.(*gwv1.Gateway).Status.Addresses
		}
		return result
	case *gwv1.ListenerSet:
		from := next.(*gwv1.ListenerSet).Spec
		switch c.n(2) {
		case 0:
			result.Spec.ParentRef = from.ParentRef
		case 1:
			result.Spec.Listeners = from.Listeners
		}
		return result
	case *gwv1.HTTPRoute:
		from := next.(*gwv1.HTTPRoute).Spec
		switch c.n(3) {
		case 0:
			result.Spec.ParentRefs = from.ParentRefs
		case 1:
			result.Spec.Hostnames = from.Hostnames
		case 2:
			result.Spec.Rules = from.Rules
		}
		return result
	case *gwv1.GRPCRoute:
		result.Spec.ParentRefs = next.(*gwv1.GRPCRoute).Spec.ParentRefs
		return result
	case *gwv1.BackendTLSPolicy:
		from := next.(*gwv1.BackendTLSPolicy).Spec
		switch c.n(2) {
		case 0:
			result.Spec.TargetRefs = from.TargetRefs
		case 1:
			result.Spec.Validation = from.Validation
		}
		return result
	case *gwxv1alpha1.XBackendTrafficPolicy:
		from := next.(*gwxv1alpha1.XBackendTrafficPolicy).Spec
		switch c.n(3) {
		case 0:
			result.Spec.TargetRefs = from.TargetRefs
		case 1:
			result.Spec.SessionPersistence = from.SessionPersistence
		case 2:
			result.Spec.RetryConstraint = from.RetryConstraint
		}
		return result
	case *gwxv1alpha1.XBackend:
		from := next.(*gwxv1alpha1.XBackend).Spec
		switch c.n(3) {
		case 0:
			result.Spec.Port = from.Port
		case 1:
			result.Spec.Protocol = from.Protocol
		case 2:
			result.Spec.TLS = from.TLS
		}
		return result
	}
	return next
}

func clone(obj metav1.Object) metav1.Object {
	return obj.(runtime.Object).DeepCopyObject().(metav1.Object)
}
