package transfer

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/documents"
)

// item is a document that can be imported.
type item struct {
	documents.Document
	served servedVersion
	key    key
	// depth is how many owners stand above the object, of those that are imported with it.
	depth    int
	measured bool
}

// manager is who writes the object.
func (i *item) manager() string {
	if len(i.Object.GetManagedFields()) > 0 {
		return unfinished
	}
	return FieldManager
}

// key identifies an object across the versions and the views of its kind.
type key struct {
	schema.GroupKind
	namespace, name string
}

// plan is what to import, and in which order.
type plan struct {
	// items have owners, Namespaces and what else others need before these.
	items []*item
	known map[key]*item
	// refused tells what is wrong with documents that cannot be imported at all.
	refused []Result
}

// newPlan makes a plan for a server that serves what c says. namespace is that of objects that name none.
func newPlan(objects []documents.Document, c *catalog, namespace string) plan {
	p := plan{known: map[key]*item{}}
	for _, d := range objects {
		i, err := newItem(d, c, namespace)
		if err == nil {
			if first := p.known[i.key]; first != nil {
				err = fmt.Errorf("the object is there twice: in %s, and in %s", first.Place, d.Place)
			}
		}
		if err != nil {
			p.refused = append(p.refused, Result{Object: documents.Title(d.Object), Action: Failed, Err: err})
			continue
		}
		p.known[i.key] = i
		p.items = append(p.items, i)
	}
	for _, i := range p.items {
		p.measure(i)
	}
	slices.SortStableFunc(p.items, compareItems)
	return p
}

func newItem(d documents.Document, c *catalog, namespace string) (*item, error) {
	served, err := c.lookup(d.Object.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	switch {
	case served.namespaced && d.Object.GetNamespace() == "":
		d.Object.SetNamespace(namespace)
	case !served.namespaced && d.Object.GetNamespace() != "":
		return nil, fmt.Errorf("metadata.namespace: a %s is in no Namespace: remove the field", served.Kind)
	}
	return &item{
		Document: d, served: served,
		key: key{stored(served.GroupKind()), d.Object.GetNamespace(), d.Object.GetName()},
	}, nil
}

// compareItems orders by what has to be there before. Equal ones can be imported at the same time.
func compareItems(a, b *item) int {
	return cmp.Or(cmp.Compare(a.depth, b.depth), cmp.Compare(rank(a.key.GroupKind), rank(b.key.GroupKind)))
}

// measure sets the depth of an object and of those above it. A circle, in which no order is right, is cut somewhere.
func (p plan) measure(i *item) int {
	if i.measured {
		return i.depth
	}
	i.measured = true
	for _, reference := range i.Object.GetOwnerReferences() {
		if owner := p.owner(i, reference); owner != nil {
			i.depth = max(i.depth, 1+p.measure(owner))
		}
	}
	return i.depth
}

// owner returns which object of the plan a reference of an object means, or nil. Owners are in the Namespace of what they own, or in none.
func (p plan) owner(i *item, reference metav1.OwnerReference) *item {
	gk := stored(schema.FromAPIVersionAndKind(reference.APIVersion, reference.Kind).GroupKind())
	if owner := p.known[key{gk, i.key.namespace, reference.Name}]; owner != nil {
		return owner
	}
	return p.known[key{GroupKind: gk, name: reference.Name}]
}
