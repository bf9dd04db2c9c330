package takeover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/gateway-api/pkg/consts"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/install"
)

// owned says how many of the APIServices point to gateway-apiserver.
type owned int

const (
	noneOurs owned = iota
	someOurs
	allOurs
)

// registered says who serves the Gateway API. Our own kinds don't count: nobody else can serve them.
func (m *mover) registered(ctx context.Context) (owned, error) {
	ours, versions := 0, gatewayVersions()
	for _, gv := range versions {
		service, err := install.GetAPIService(ctx, m.kube, install.APIServiceName(gv))
		if err != nil {
			return 0, err
		}
		switch {
		case service == nil || service.Spec.Service == nil:
		case m.registration.Points(service):
			ours++
		default:
			return 0, fmt.Errorf("APIService %s points to the Service %s/%s: another server serves this group version; remove it first, or name its namespace with --namespace if that is gateway-apiserver",
				service.Name, service.Spec.Service.Namespace, service.Spec.Service.Name)
		}
	}
	switch ours {
	case 0:
		return noneOurs, nil
	case len(versions):
		return allOurs, nil
	}
	return someOurs, nil
}

// gatewayVersions are the group versions of the Gateway API.
func gatewayVersions() []schema.GroupVersion {
	return slices.DeleteFunc(install.GroupVersions(), func(gv schema.GroupVersion) bool { return !slices.Contains(groups, gv.Group) })
}

// register has kube-apiserver ask gateway-apiserver. An APIService trusts its certificate at once: until gateway-apiserver
// gets round to saying so, requests would fail.
func (m *mover) register(ctx context.Context) error {
	var errs []error
	err := m.registration.Register(ctx, m.kube, false, func(r install.Result) {
		m.printResult(r)
		errs = append(errs, m.trust(ctx))
	})
	return errors.Join(append(errs, err)...)
}

// trust gives APIServices of ours that trust nobody the authorities of gateway-apiserver.
func (m *mover) trust(ctx context.Context) error {
	for _, gv := range install.GroupVersions() {
		service, err := install.GetAPIService(ctx, m.kube, install.APIServiceName(gv))
		if err != nil {
			return err
		}
		if service == nil || !m.registration.Points(service) || len(service.Spec.CABundle) > 0 {
			continue
		}
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"resourceVersion": service.ResourceVersion}, "spec": map[string]any{"caBundle": m.CABundle},
		})
		if err != nil {
			return err
		}
		resource := m.kube.Resource(apiregistrationv1.SchemeGroupVersion.WithResource("apiservices"))
		// With a conflict, somebody has just said it.
		if _, err := resource.Patch(ctx, service.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: install.Name}); err != nil && !apierrors.IsConflict(err) {
			return fmt.Errorf("having APIService %s trust gateway-apiserver: %w", service.Name, err)
		}
	}
	return nil
}

// waitServed waits until the CustomResourceDefinitions serve all of their versions.
func (m *mover) waitServed(ctx context.Context) error {
	var missing []string
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, m.Timeout, true, func(ctx context.Context) (bool, error) {
		missing = nil
		for _, l := range m.lanes.all() {
			gv := l.storage.GroupVersion()
			service, err := install.GetAPIService(ctx, m.kube, install.APIServiceName(gv))
			if err != nil {
				return false, ctx.Err()
			}
			if !isServedByCRD(service) {
				missing = append(missing, install.APIServiceName(gv))
			}
		}
		return len(missing) == 0, nil
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("kube-apiserver does not serve the CustomResourceDefinitions again after %v (APIServices %s): run this again", m.Timeout, strings.Join(missing, ", "))
	}
	return err
}

func isServedByCRD(service *apiregistrationv1.APIService) bool {
	if service == nil || service.Spec.Service != nil {
		return false
	}
	for _, c := range service.Status.Conditions {
		if c.Type == apiregistrationv1.Available {
			return c.Status == apiregistrationv1.ConditionTrue
		}
	}
	return false
}

// refuseUnserved refuses to hide objects that gateway-apiserver can't have.
func (m *mover) refuseUnserved(ctx context.Context) error {
	var found []string
	for _, u := range m.unserved {
		hidden := slices.ContainsFunc(u.crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
			return slices.Contains(install.GroupVersions(), schema.GroupVersion{Group: u.crd.Spec.Group, Version: v.Name})
		})
		if !hidden {
			continue
		}
		list, err := m.kube.Resource(u.storage).List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil {
			return fmt.Errorf("listing %s: %w", u.storage.GroupResource(), err)
		}
		if len(list.Items) > 0 {
			found = append(found, fmt.Sprintf("%s (%s)", u.crd.Name, u.why))
		}
	}
	switch {
	case len(found) == 0:
		return nil
	case m.SkipUnserved:
		m.report.line("left behind: the objects of %s", strings.Join(found, "; "))
		return nil
	}
	return fmt.Errorf("nobody would see the objects of %s: delete them if nobody needs them, or leave them behind with --skip-unserved", strings.Join(found, "; "))
}

// refuseHomeless refuses to hand back objects for which there is no CustomResourceDefinition.
func (m *mover) refuseHomeless(ctx context.Context) error {
	crds := map[schema.GroupKind]bool{}
	for _, l := range m.lanes.all() {
		crds[l.row.Hub().GroupKind()] = true
	}
	var missing []string
	for _, l := range hubLanes(apis.GatewayKinds) {
		if crds[l.kind] {
			continue
		}
		list, err := m.server.resource(l).List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil {
			return fmt.Errorf("listing %s of %s: %w", l.storage.GroupResource(), m.server, err)
		}
		if len(list.Items) > 0 {
			missing = append(missing, l.storage.GroupResource().String())
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("gateway-apiserver has objects for which there is no CustomResourceDefinition, or none whose storage version it serves (%s): apply the CustomResourceDefinitions of Gateway API %s, experimental channel, or delete the objects",
		strings.Join(missing, ", "), consts.BundleVersion)
}

// refuseEmpty refuses to make the CustomResourceDefinitions as empty as a server that has nothing: it may be another one, or
// may have lost its etcd.
func (m *mover) refuseEmpty(ctx context.Context) error {
	if m.Extra == DeleteExtra || len(m.lanes) == 0 {
		return nil
	}
	for _, l := range m.lanes.all() {
		list, err := m.server.resource(l).List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil {
			return fmt.Errorf("listing %s of %s: %w", l.storage.GroupResource(), m.server, err)
		}
		if len(list.Items) > 0 {
			return nil
		}
	}
	return errors.New("gateway-apiserver has no objects at all: if its etcd was lost, restore it, or get the objects of the CustomResourceDefinitions as they were before the takeover by \"gateway-apiserver uninstall\"; if it is to be so, --extra=delete deletes what the CustomResourceDefinitions have")
}

// tellKept tells of the objects of gateway-apiserver's own kinds, for which there are no CustomResourceDefinitions.
func (m *mover) tellKept(ctx context.Context) error {
	for _, l := range hubLanes(apis.OwnKinds) {
		list, err := m.server.resource(l).List(ctx, metav1.ListOptions{Limit: 1})
		if apierrors.IsNotFound(err) { // an older release
			continue
		}
		if err != nil {
			return fmt.Errorf("listing %s of %s: %w", l.storage.GroupResource(), m.server, err)
		}
		if len(list.Items) > 0 {
			m.report.line("the %s stay with gateway-apiserver, where nobody sees them until the next takeover: \"gateway-apiserver export\" writes them into a file, before the handback", l.storage.GroupResource())
		}
	}
	return nil
}

// hubLanes are kinds as gateway-apiserver stores them.
func hubLanes(kinds []apis.Kind) []*lane {
	var hubs []*lane
	for _, kind := range kinds {
		hub := kind.Hub()
		s := crd.Lookup(hub.GroupVersionKind)
		hubs = append(hubs, &lane{
			kind: hub.GroupKind(), row: kind, namespaced: s.Namespaced(), status: s.HasStatus(),
			storage: hub.GroupVersion().WithResource(s.Names().Plural),
		})
	}
	return hubs
}
