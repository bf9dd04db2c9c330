package install

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/documents"
)

// fieldManager owns the fields of what is applied.
const fieldManager = managedBy

// Action is what became of an object.
type Action string

const (
	Created    Action = "created"
	Configured Action = "configured"
	Unchanged  Action = "unchanged"
	Deleted    Action = "deleted"
	// Kept objects were left as they are; the note of the result says why.
	Kept Action = "kept"
	// Unchecked objects could not be tried in a dry run.
	Unchecked Action = "not checked"
)

// Result tells what became of an object.
type Result struct {
	Object string // its title
	Action Action
	Note   string
}

// ApplyOptions say how to install.
type ApplyOptions struct {
	// HideObjects registers the APIServices although CustomResourceDefinitions hold objects that they hide.
	HideObjects bool
	// DryRun has kube-apiserver try everything, and write nothing.
	DryRun bool
	// Timeout is how long to wait for the APIServices to be available.
	Timeout time.Duration
	// Waiting is called when the wait begins.
	Waiting func()
}

type applier struct {
	client dynamic.Interface
	dryRun bool
	report func(Result)
	// grows says that an embedded etcd gets more members.
	grows bool
}

// Apply makes a cluster have the objects of o, and calls report for each. It stops at the first error, and can be called
// again. Other managers' fields of the objects stay, and so does the caBundle that the server has set.
func Apply(ctx context.Context, client dynamic.Interface, o Options, how ApplyOptions, report func(Result)) error {
	a := &applier{client: client, dryRun: how.DryRun, report: report}
	registration := Registration{o.Namespace, o.ServicePort}
	if err := checkNamespace(ctx, client, o.Namespace); err != nil {
		return err
	}
	if err := a.checkWorkload(ctx, o); err != nil {
		return err
	}
	if o.Register && !how.HideObjects {
		if err := checkHidden(ctx, client); err != nil {
			return err
		}
	}
	objects := o.server()
	for _, object := range objects {
		if err := a.apply(ctx, object); err != nil {
			return err
		}
	}
	if err := a.prune(ctx, o.Namespace, objects); err != nil {
		return err
	}
	if !o.Register {
		return nil
	}
	for _, service := range registration.APIServices() {
		if err := a.register(ctx, registration, service); err != nil {
			return err
		}
	}
	return a.applyServed(ctx, registration, gatewayClass(), how)
}

// prune deletes what install has made with other options: above all permissions that the server should no longer have.
func (a *applier) prune(ctx context.Context, namespace string, objects []Object) error {
	made, err := labelled(ctx, a.client, namespace)
	if err != nil {
		return err
	}
	for i := range made {
		is := func(o Object) bool {
			return o.GetObjectKind().GroupVersionKind() == made[i].GroupVersionKind() && o.GetNamespace() == made[i].GetNamespace() && o.GetName() == made[i].GetName()
		}
		if slices.ContainsFunc(objects, is) {
			continue
		}
		if err := remove(ctx, a.client, &made[i], a.dryRun, a.report); err != nil {
			return err
		}
	}
	return nil
}

// applyServed applies an object of a group version that our server serves, once it does.
func (a *applier) applyServed(ctx context.Context, r Registration, object Object, how ApplyOptions) error {
	if a.dryRun {
		a.report(Result{object.GetObjectKind().GroupVersionKind().Kind + " " + object.GetName(), Unchecked, "the server must run first"})
		return nil
	}
	if how.Waiting != nil {
		how.Waiting()
	}
	if err := r.WaitAvailable(ctx, a.client, how.Timeout); err != nil {
		return err
	}
	return a.apply(ctx, object)
}

// WaitAvailable waits until kube-apiserver says of all our APIServices that they are available.
func (r Registration) WaitAvailable(ctx context.Context, client dynamic.Interface, timeout time.Duration) error {
	var why error
	err := wait.PollUntilContextTimeout(ctx, time.Second, timeout, true, func(bounded context.Context) (bool, error) {
		err := r.available(bounded, client)
		if err != nil && bounded.Err() == nil {
			why = err // kube-apiserver may come back
		}
		return err == nil, nil
	})
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("the server is not available after %v (%w): run \"gateway-apiserver doctor -n %s\" to see why, and install again", timeout, why, r.Namespace)
}

// available returns nil if all our APIServices are available, and else what is the matter with them.
func (r Registration) available(ctx context.Context, client dynamic.Interface) error {
	var missing []error
	for _, gv := range GroupVersions() {
		service, err := GetAPIService(ctx, client, APIServiceName(gv))
		if err != nil {
			return err
		}
		if err := Available(service); err != nil {
			missing = append(missing, fmt.Errorf("APIService %s: %w", APIServiceName(gv), err))
		}
	}
	switch len(missing) {
	case 0:
		return answered(ctx, client)
	case 1:
		return missing[0]
	}
	return fmt.Errorf("%w; and %d more", missing[0], len(missing)-1) // for the same reason, usually
}

// answered returns an error while kube-apiserver doesn't pass requests on: it says that an APIService is available a moment
// before it acts accordingly, and for each of them at another one.
func answered(ctx context.Context, client dynamic.Interface) error {
	for _, gv := range GroupVersions() {
		_, err := client.Resource(someResource(gv)).List(ctx, metav1.ListOptions{Limit: 1})
		if apierrors.IsServiceUnavailable(err) {
			return fmt.Errorf("APIService %s: %w", APIServiceName(gv), err)
		}
		// Whatever else is wrong, somebody has answered.
	}
	return nil
}

// someResource is one of those that a group version of GroupVersions has.
func someResource(gv schema.GroupVersion) schema.GroupVersionResource {
	for _, kind := range apis.DefinedKinds {
		for _, v := range kind {
			if v.GroupVersion() == gv {
				plural, _ := meta.UnsafeGuessKindToResource(v.GroupVersionKind)
				return plural
			}
		}
	}
	panic("no kind is in " + gv.String())
}

// Available returns what kube-apiserver says is the matter with an APIService, or nil. A nil APIService is missing.
func Available(service *apiregistrationv1.APIService) error {
	if service == nil {
		return errors.New("it is missing")
	}
	for _, c := range service.Status.Conditions {
		switch {
		case c.Type != apiregistrationv1.Available:
		case c.Reason == "Local" && service.Spec.Service != nil: // what was said of the CustomResourceDefinition before
		case c.Status == apiregistrationv1.ConditionTrue:
			return nil
		default:
			return errors.New(c.Message)
		}
	}
	return errors.New("kube-apiserver has not asked it yet")
}

// apply makes an object as we want it. What somebody else has made is refused, or, where that does no harm, kept.
func (a *applier) apply(ctx context.Context, object Object) error {
	wanted, err := toUnstructured(object)
	if err != nil {
		return err
	}
	client := clientFor(a.client, wanted)
	current, err := client.Get(ctx, wanted.GetName(), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("reading %s: %w", documents.Title(wanted), err)
	}
	created := err != nil
	if !created && current.GetDeletionTimestamp() != nil {
		return fmt.Errorf("%s is being deleted: install again when it is gone", documents.Title(wanted))
	}
	if !created && !ours(current) && !takenOver(current) {
		if slices.Contains([]string{"Namespace", "GatewayClass"}, wanted.GetKind()) {
			a.report(Result{documents.Title(wanted), Kept, "it was there before"})
			return nil
		}
		return fmt.Errorf("%s was there before, and not made by install: delete it, or give it the label %s=%s to have install change it", documents.Title(wanted), managedByLabel, managedBy)
	}
	// Conflicts are with who has changed, by hand or otherwise, what install has written before.
	applied, err := client.Apply(ctx, wanted.GetName(), wanted, metav1.ApplyOptions{FieldManager: fieldManager, Force: true, DryRun: dryRun(a.dryRun)})
	if a.dryRun && apierrors.IsNotFound(err) { // its namespace isn't there either
		a.report(Result{documents.Title(wanted), Unchecked, "its Namespace isn't there yet"})
		return nil
	}
	if err != nil {
		return fmt.Errorf("applying %s: %w", documents.Title(wanted), err)
	}
	action := Configured
	switch {
	case created:
		action = Created
	case same(applied, current):
		action = Unchanged
	}
	note := ""
	if a.grows && wanted.GetKind() == "StatefulSet" {
		// It listens to them only after its update, which comes last, when they are ready.
		note = fmt.Sprintf("the new members wait for the first one: when they run, delete the Pod %s-0", Name)
	}
	a.report(Result{documents.Title(wanted), action, note})
	return nil
}

// same says whether an apply changed nothing. Only what is really written gets another resource version.
func same(a, b *unstructured.Unstructured) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	a.SetManagedFields(nil)
	b.SetManagedFields(nil)
	return equality.Semantic.DeepEqual(a, b)
}

// ours says whether install has made an object.
func ours(o *unstructured.Unstructured) bool { return o.GetLabels()[managedByLabel] == managedBy }

// takenOver says whether an object is an APIService without a server behind it, which kube-apiserver has made for
// CustomResourceDefinitions.
func takenOver(o *unstructured.Unstructured) bool {
	service, found, _ := unstructured.NestedMap(o.Object, "spec", "service")
	return o.GetKind() == "APIService" && (!found || service == nil)
}

// checkNamespace refuses to go on with another namespace than that in which the server is installed: there is only one,
// and its permissions and APIServices are for the whole cluster.
func checkNamespace(ctx context.Context, client dynamic.Interface, namespace string) error {
	found, err := client.Resource(rbacv1.SchemeGroupVersion.WithResource("clusterrolebindings")).Get(ctx, Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading ClusterRoleBinding %s: %w", Name, err)
	}
	var binding rbacv1.ClusterRoleBinding
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, &binding); err != nil {
		return fmt.Errorf("reading ClusterRoleBinding %s: %w", Name, err)
	}
	for _, s := range binding.Subjects {
		if s.Namespace != namespace {
			return fmt.Errorf("the server is installed in the namespace %s, and there can be only one: give --namespace=%[1]s", s.Namespace)
		}
	}
	return nil
}

// checkWorkload refuses what a new workload would not do: to move objects from one kind of etcd to another, and to take
// members out of an embedded one, whose majority they may be.
func (a *applier) checkWorkload(ctx context.Context, o Options) error {
	deployment, err := a.getWorkload(ctx, o.Namespace, "Deployment")
	if err != nil {
		return err
	}
	set, err := a.getWorkload(ctx, o.Namespace, "StatefulSet")
	if err != nil {
		return err
	}
	const move = "keep its objects with \"gateway-apiserver export\", uninstall with --purge, install and import them"
	members := int64(0)
	if set != nil {
		members, _, _ = unstructured.NestedInt64(set.Object, "spec", "replicas")
	}
	switch {
	case o.Etcd.Embedded && deployment != nil:
		return fmt.Errorf("--etcd: the server has an external etcd (%s): %s", documents.Title(deployment), move)
	case !o.Etcd.Embedded && set != nil:
		return fmt.Errorf("--etcd: the server has an embedded etcd (%s): %s", documents.Title(set), move)
	case members > int64(o.Etcd.Members):
		return fmt.Errorf("--etcd-replicas=%d: the embedded etcd has %d members, and cannot have less: %s", o.Etcd.Members, members, move)
	}
	a.grows = members > 0 && members < int64(o.Etcd.Members)
	return nil
}

// getWorkload returns what runs the server, or nil.
func (a *applier) getWorkload(ctx context.Context, namespace, kind string) (*unstructured.Unstructured, error) {
	gvr, _ := meta.UnsafeGuessKindToResource(appsv1.SchemeGroupVersion.WithKind(kind))
	found, err := a.client.Resource(gvr).Namespace(namespace).Get(ctx, Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s %s/%s: %w", kind, namespace, Name, err)
	}
	return found, nil
}

// clientFor is the client for an object of ours. The names of their resources are what the guess makes of their kinds.
func clientFor(client dynamic.Interface, o *unstructured.Unstructured) dynamic.ResourceInterface {
	gvr, _ := meta.UnsafeGuessKindToResource(o.GroupVersionKind())
	if o.GetNamespace() == "" {
		return client.Resource(gvr)
	}
	return client.Resource(gvr).Namespace(o.GetNamespace())
}

func dryRun(dry bool) []string {
	if dry {
		return []string{metav1.DryRunAll}
	}
	return nil
}

// remove deletes an object and reports it. One that is gone is fine.
func remove(ctx context.Context, client dynamic.Interface, o *unstructured.Unstructured, dry bool, report func(Result)) error {
	uid := o.GetUID()
	err := clientFor(client, o).Delete(ctx, o.GetName(), metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: new(metav1.DeletePropagationBackground), DryRun: dryRun(dry),
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting %s: %w", documents.Title(o), err)
	}
	report(Result{Object: documents.Title(o), Action: Deleted})
	return nil
}
