package definitions

import (
	"context"
	"slices"
	"strconv"
	"time"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition/tableconvertor"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

// definitions is the storage of definitions that are made when somebody asks for them: with their schemas they are large,
// and few ask.
type definitions struct {
	rest.TableConvertor

	channel crd.Channel
	created time.Time
	// revision is the resource version of all of them. It is the time of the start, so that nobody goes on with what
	// another release of this server, or another channel, has served.
	revision uint64
}

// retrySeconds is when a client may ask again that is ahead of the server.
const retrySeconds = 1

var (
	_ rest.Storage              = &definitions{}
	_ rest.Scoper               = &definitions{}
	_ rest.Getter               = &definitions{}
	_ rest.Lister               = &definitions{}
	_ rest.Watcher              = &definitions{}
	_ rest.ShortNamesProvider   = &definitions{}
	_ rest.CategoriesProvider   = &definitions{}
	_ rest.SingularNameProvider = &definitions{}
)

func newDefinitions(channel crd.Channel, created, started time.Time) *definitions {
	return &definitions{
		TableConvertor: tableconvertor.New(),
		channel:        channel, created: created.UTC().Truncate(time.Second), revision: uint64(started.UnixMilli()),
	}
}

func (d *definitions) New() runtime.Object     { return &apiextensions.CustomResourceDefinition{} }
func (d *definitions) NewList() runtime.Object { return &apiextensions.CustomResourceDefinitionList{} }
func (d *definitions) Destroy()                {}
func (d *definitions) NamespaceScoped() bool   { return false }
func (d *definitions) GetSingularName() string { return "customresourcedefinition" }
func (d *definitions) ShortNames() []string    { return []string{"crd", "crds"} }
func (d *definitions) Categories() []string    { return []string{"api-extensions"} }

// all returns the definitions in the version in which the API machinery keeps them in memory.
func (d *definitions) all() ([]apiextensions.CustomResourceDefinition, error) {
	built := build(d.channel, d.created)
	all := make([]apiextensions.CustomResourceDefinition, len(built))
	for i, definition := range built {
		definition.ResourceVersion = d.version()
		if err := scheme.Convert(definition, &all[i], nil); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (d *definitions) version() string { return strconv.FormatUint(d.revision, 10) }

// Get implements rest.Getter.
func (d *definitions) Get(_ context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	all, err := d.all()
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Name == name {
			return &all[i], nil
		}
	}
	return nil, apierrors.NewNotFound(resource, name)
}

// List implements rest.Lister. It returns all at once, whatever limit there is: as the API has it, a server may.
func (d *definitions) List(_ context.Context, options *internalversion.ListOptions) (runtime.Object, error) {
	if options.Continue != "" {
		return nil, apierrors.NewBadRequest("continue key is not valid: lists of CustomResourceDefinitions come in one piece here")
	}
	requested, err := parse(options.ResourceVersion)
	switch {
	case err != nil:
		return nil, err
	case requested > d.revision:
		return nil, storage.NewTooLargeResourceVersionError(requested, d.revision, retrySeconds)
	case requested != d.revision && options.ResourceVersionMatch == metav1.ResourceVersionMatchExact:
		return nil, d.expired(options.ResourceVersion)
	}
	items, err := d.selected(options)
	return &apiextensions.CustomResourceDefinitionList{ListMeta: metav1.ListMeta{ResourceVersion: d.version()}, Items: items}, err
}

// selected returns the definitions that the selectors of a request are for.
func (d *definitions) selected(options *internalversion.ListOptions) ([]apiextensions.CustomResourceDefinition, error) {
	label, field := options.LabelSelector, options.FieldSelector
	if label == nil {
		label = labels.Everything()
	}
	if field == nil {
		field = fields.Everything()
	}
	all, err := d.all()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(definition apiextensions.CustomResourceDefinition) bool {
		return !label.Matches(labels.Set(definition.Labels)) || !field.Matches(fields.Set{"metadata.name": definition.Name})
	}), nil
}

// Watch implements rest.Watcher. A watch begins with all definitions, unless it goes on after a list, and stays open:
// nothing else ever happens.
func (d *definitions) Watch(_ context.Context, options *internalversion.ListOptions) (watch.Interface, error) {
	requested, err := parse(options.ResourceVersion)
	if err != nil {
		return nil, err
	}
	initial := options.SendInitialEvents != nil && *options.SendInitialEvents
	if requested != 0 && requested != d.revision && !initial {
		return nil, d.expired(options.ResourceVersion)
	}
	if requested > d.revision {
		return nil, storage.NewTooLargeResourceVersionError(requested, d.revision, retrySeconds)
	}
	var events []watch.Event
	if initial || requested == 0 && options.SendInitialEvents == nil {
		items, err := d.selected(options)
		if err != nil {
			return nil, err
		}
		for i := range items {
			events = append(events, watch.Event{Type: watch.Added, Object: &items[i]})
		}
	}
	if initial && options.AllowWatchBookmarks {
		mark := &apiextensions.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{
			ResourceVersion: d.version(), Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"},
		}}
		events = append(events, watch.Event{Type: watch.Bookmark, Object: mark})
	}
	ch := make(chan watch.Event, len(events))
	for _, e := range events {
		ch <- e
	}
	return watch.NewProxyWatcher(ch), nil
}

func parse(version string) (uint64, error) {
	revision, err := storage.APIObjectVersioner{}.ParseResourceVersion(version)
	if err != nil {
		return 0, apierrors.NewBadRequest("invalid resource version: " + err.Error())
	}
	return revision, nil
}

// expired tells a client whose resource version is of another start of the server to list again.
func (d *definitions) expired(requested string) error {
	return apierrors.NewResourceExpired("too old resource version: " + requested + " (" + d.version() + ")")
}
