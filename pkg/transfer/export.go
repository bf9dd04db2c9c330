package transfer

import (
	"context"
	"fmt"
	"io"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/documents"
)

// pageSize is how many objects are asked for at once.
const pageSize = 500

// ExportOptions say what to export, and how.
type ExportOptions struct {
	// Controller is gateway-apiserver, whose own status is left out.
	Controller Controller
	// Versions has the version in which to export a kind, by one of the kind's names, alone or as NAME.GROUP. Others are
	// exported in the version that the server prefers.
	Versions map[string]string
	// Namespace, if set, restricts the export to the objects in it, and itself.
	Namespace string
	// Core says whether to export the kinds of Kubernetes that a standalone server stores. Unless it is set, they are
	// exported from servers that are no cluster.
	Core *bool
	// Secrets says that Secrets are among these.
	Secrets bool
	// ManagedFields says that the objects' managedFields are exported.
	ManagedFields bool
}

// Exported tells what was exported.
type Exported struct {
	Objects, Secrets int
	// Leaving are the titles of objects that were left out because they are being deleted.
	Leaving []string
}

// exporter writes the objects of one server.
type exporter struct {
	ExportOptions
	client     dynamic.Interface
	management *Management
	w          io.Writer
	seen       map[types.UID]bool
	done       Exported
}

// Export writes the objects of the server that config describes to w: YAML documents, what is referred to before what
// refers to it, and the objects of a kind in the server's order. They are read in pages, so that those of one kind are
// as they were at one moment, but not those of different kinds.
func Export(ctx context.Context, config *rest.Config, o ExportOptions, w io.Writer) (Exported, error) {
	config = rest.CopyConfig(config)
	config.WarningHandlerWithContext = rest.NoWarnings{} // all that is read is asked for, deprecated or not
	catalog, err := discover(ctx, config)
	if err != nil {
		return Exported{}, err
	}
	if err := catalog.available(gatewayGroup, gatewayXGroup, ownGroup); err != nil {
		return Exported{}, err
	}
	kinds, err := catalog.choose(o.Versions, o.filter(catalog))
	if err != nil {
		return Exported{}, err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return Exported{}, err
	}
	e := &exporter{ExportOptions: o, client: client, management: NewManagement(o.Controller, lookupIn(client, catalog)), w: w, seen: map[types.UID]bool{}}
	for _, k := range kinds {
		if err := e.export(ctx, k.servedVersion); err != nil {
			return e.done, err
		}
	}
	return e.done, nil
}

// filter returns which kinds are exported.
func (o ExportOptions) filter(c *catalog) func(schema.GroupKind) bool {
	cluster := slices.ContainsFunc(c.kinds, func(k *servedKind) bool { return k.Group == aggregationGroup })
	core := !cluster
	if o.Core != nil {
		core = *o.Core
	}
	return func(gk schema.GroupKind) bool {
		switch {
		case gk == nodeKind:
			return false
		case gk.Group == gatewayGroup || gk.Group == gatewayXGroup || gk.Group == ownGroup:
			return true
		case gk == secretKind && !o.Secrets:
			return false
		}
		return core && slices.Contains(coreKinds, gk)
	}
}

// export writes the objects of a kind.
func (e *exporter) export(ctx context.Context, v servedVersion) error {
	client := in(e.client, v, e.Namespace)
	options := metav1.ListOptions{Limit: pageSize}
	if e.Namespace != "" && !v.namespaced {
		if v.GroupKind() != namespaceKind {
			return nil
		}
		options.FieldSelector = "metadata.name=" + e.Namespace
	}
	for {
		page, err := client.List(ctx, options)
		if err != nil {
			return fmt.Errorf("listing %s: %w", v.gvr().GroupResource(), err)
		}
		for i := range page.Items {
			if err := e.write(ctx, &page.Items[i]); err != nil {
				return err
			}
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return nil
		}
	}
}

// write writes an object unless another kind has shown it already.
func (e *exporter) write(ctx context.Context, o *unstructured.Unstructured) error {
	if e.seen[o.GetUID()] {
		return nil
	}
	e.seen[o.GetUID()] = true
	if o.GetDeletionTimestamp() != nil {
		e.done.Leaving = append(e.done.Leaving, documents.Title(o))
		return nil
	}
	managed, err := e.management.Has(ctx, o)
	if err != nil {
		return err
	}
	status := e.management.OthersStatus(o, managed)
	delete(o.Object, "status")
	if status != nil {
		o.Object["status"] = status
	}
	strip(o)
	if !e.ManagedFields {
		o.SetManagedFields(nil)
	}
	data, err := encode(o)
	if err != nil {
		return fmt.Errorf("%s: %w", documents.Title(o), err)
	}
	if e.done.Objects > 0 {
		data = append([]byte("---\n"), data...)
	}
	if _, err := e.w.Write(data); err != nil {
		return err
	}
	e.done.Objects++
	if o.GroupVersionKind().GroupKind() == secretKind {
		e.done.Secrets++
	}
	return nil
}
