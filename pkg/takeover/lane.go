package takeover

import (
	"fmt"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
)

// groups are those of the Gateway API.
var groups = []string{gatewayv1.GroupName, gatewayxv1alpha1.GroupVersion.Group}

// lane is where the objects of a CustomResourceDefinition move along: they are read and written in its storage version on
// both sides, so that nothing is converted but by gateway-apiserver.
type lane struct {
	crd                string // its name
	kind               schema.GroupKind
	storage            schema.GroupVersionResource
	versions           []string // all that the CustomResourceDefinition has, but for the side door
	namespaced, status bool
	// row is the kind of gateway-apiserver that has the same objects.
	row apis.Kind
}

// door is the lane's resource at the side door.
func (l *lane) door() schema.GroupVersionResource {
	return l.kind.WithVersion(sideDoor).GroupVersion().WithResource(l.storage.Resource)
}

func (l *lane) title(key string) string { return l.kind.Kind + " " + key }

// lanes has those of each kind of gateway-apiserver, the one of the kind as it is stored first.
type lanes [][]*lane

// all returns every lane.
func (ls lanes) all() []*lane { return slices.Concat(ls...) }

// unserved is a CustomResourceDefinition whose objects gateway-apiserver can't have.
type unserved struct {
	crd     *apiextensionsv1.CustomResourceDefinition
	storage schema.GroupVersionResource
	why     string
}

// newLanes returns where the objects of CustomResourceDefinitions move along, and of which they can't.
func newLanes(crds []*apiextensionsv1.CustomResourceDefinition) (lanes, []unserved) {
	var found lanes
	var without []unserved
	byRow := map[int][]*lane{}
	for _, crd := range crds {
		l, row, why := newLane(crd)
		if why != "" {
			without = append(without, unserved{crd, l.storage, why})
			continue
		}
		byRow[row] = append(byRow[row], l)
	}
	for i, row := range apis.GatewayKinds {
		slices.SortStableFunc(byRow[i], func(a, b *lane) int {
			hub := row.Hub().GroupKind()
			switch {
			case a.kind == hub:
				return -1
			case b.kind == hub:
				return 1
			}
			return strings.Compare(a.crd, b.crd)
		})
		if len(byRow[i]) > 0 {
			found = append(found, byRow[i])
		}
	}
	return found, without
}

// newLane returns the lane of a CustomResourceDefinition and which kind of gateway-apiserver it leads to, or why there is
// none.
func newLane(crd *apiextensionsv1.CustomResourceDefinition) (l *lane, row int, why string) {
	l = &lane{
		crd: crd.Name, kind: schema.GroupKind{Group: crd.Spec.Group, Kind: crd.Spec.Names.Kind},
		namespaced: crd.Spec.Scope == apiextensionsv1.NamespaceScoped,
	}
	for _, v := range crd.Spec.Versions {
		if v.Storage {
			l.storage = schema.GroupVersionResource{Group: crd.Spec.Group, Version: v.Name, Resource: crd.Spec.Names.Plural}
			l.status = v.Subresources != nil && v.Subresources.Status != nil
		}
		if v.Name != sideDoor {
			l.versions = append(l.versions, v.Name)
		}
	}
	var served []string
	for i, kind := range apis.GatewayKinds {
		for _, v := range kind {
			if v.GroupKind() == l.kind {
				served = append(served, v.Version)
				row, l.row = i, kind
			}
		}
	}
	switch {
	case len(served) == 0:
		return l, 0, fmt.Sprintf("gateway-apiserver does not have the kind %s", l.kind.Kind)
	case !slices.Contains(served, l.storage.Version):
		return l, 0, fmt.Sprintf("it stores %s, and gateway-apiserver has %s in %s only", l.storage.Version, l.kind.Kind, strings.Join(served, ", "))
	}
	return l, row, ""
}

// typedCRD is the CustomResourceDefinition in o.
func typedCRD(o *unstructured.Unstructured) (*apiextensionsv1.CustomResourceDefinition, error) {
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, crd); err != nil {
		return nil, fmt.Errorf("reading CustomResourceDefinition %s: %w", o.GetName(), err)
	}
	return crd, nil
}
