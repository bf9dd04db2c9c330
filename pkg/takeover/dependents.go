package takeover

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// adoptDependents gives the objects of the cluster that belong to objects with another uid this one. The garbage collector
// would delete them otherwise, as soon as it looks at them.
func (m *mover) adoptDependents(ctx context.Context) error {
	config := rest.CopyConfig(m.Kube)
	config.QPS = -1
	config.WarningHandlerWithContext = rest.NoWarnings{}
	finder, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return err
	}
	// What an aggregated server that is down has can't be owned by anything now.
	resources, err := finder.ServerPreferredResourcesWithContext(ctx)
	if _, partly := discovery.GroupDiscoveryFailedErrorGroups(err); err != nil && !partly {
		return fmt.Errorf("asking kube-apiserver what it serves: %w", err)
	} else if partly {
		m.report.line("warning: what belongs to objects with another uid was not looked for everywhere: %v", err)
	}
	adopted := 0
	for _, list := range resources {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil || slices.Contains(groups, gv.Group) {
			continue // those have moved, with their references
		}
		for _, resource := range list.APIResources {
			if !slices.Contains(resource.Verbs, "list") || !slices.Contains(resource.Verbs, "patch") {
				continue
			}
			n, err := m.adopt(ctx, client, gv.WithResource(resource.Name))
			if err != nil {
				return err
			}
			adopted += n
		}
	}
	if adopted > 0 {
		m.report.line("%d other objects belong to objects with another uid, and refer to that now", adopted)
	}
	return nil
}

// adopt does it for one resource.
func (m *mover) adopt(ctx context.Context, client metadata.Interface, gvr schema.GroupVersionResource) (adopted int, _ error) {
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := client.Resource(gvr).List(ctx, options)
		switch {
		case apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err):
			return adopted, nil
		case apierrors.IsForbidden(err), apierrors.IsServiceUnavailable(err):
			m.report.line("warning: what belongs to objects with another uid was not looked for in %s: %v", gvr.GroupResource(), err)
			return adopted, nil
		case err != nil:
			return adopted, fmt.Errorf("listing %s: %w", gvr.GroupResource(), err)
		}
		for i := range page.Items {
			changed, err := m.adoptOne(ctx, client.Resource(gvr).Namespace(page.Items[i].Namespace), &page.Items[i])
			if err != nil {
				return adopted, fmt.Errorf("%s %s/%s: its reference to its owner: %w", gvr.Resource, page.Items[i].Namespace, page.Items[i].Name, err)
			}
			if changed {
				adopted++
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return adopted, nil
		}
	}
}

func (m *mover) adoptOne(ctx context.Context, client metadata.ResourceInterface, o *metav1.PartialObjectMetadata) (bool, error) {
	for range 5 {
		owners, changed := slices.Clone(o.OwnerReferences), false
		for i, owner := range owners {
			group, _ := schema.ParseGroupVersion(owner.APIVersion)
			if now := m.crds.uids.now(owner.UID); slices.Contains(groups, group.Group) && now != owner.UID {
				owners[i].UID = now
				changed = true
			}
		}
		if !changed {
			return false, nil
		}
		data, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"uid": o.UID, "resourceVersion": o.ResourceVersion, "ownerReferences": owners,
		}})
		if err != nil {
			return false, err
		}
		_, err = client.Patch(ctx, o.Name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: fieldManager})
		if !apierrors.IsConflict(err) {
			if isGone(err) {
				err = nil
			}
			return err == nil, err
		}
		if o, err = client.Get(ctx, o.Name, metav1.GetOptions{}); isGone(err) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	return false, fmt.Errorf("it changes all the time")
}

// forget takes the records of a handback away.
func (m *mover) forget(ctx context.Context) error {
	m.report.line("removing the records of this handback from the objects")
	for _, l := range m.lanes.all() {
		for o, err := range list(ctx, m.crds, l, func(string) {}) {
			if err != nil {
				return err
			}
			if _, ok := o.GetAnnotations()[handbackAnnotation]; !ok {
				continue
			}
			if err := m.crds.forget(ctx, l, o); err != nil {
				return fmt.Errorf("%s: %w", l.title(keyOf(o)), err)
			}
		}
	}
	return nil
}
