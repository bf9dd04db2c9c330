package transfer

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// patch merges a change into the object that it is about, and returns that as it is then.
func patch(ctx context.Context, client dynamic.ResourceInterface, it *item, change map[string]any, subresources ...string) (*unstructured.Unstructured, error) {
	data, err := json.Marshal(change)
	if err != nil {
		return nil, err
	}
	return client.Patch(ctx, it.key.name, types.MergePatchType, data,
		metav1.PatchOptions{FieldManager: it.manager(), FieldValidation: metav1.FieldValidationStrict}, subresources...)
}

// Warnings are what a server warned about in its answers to the requests of one context.
type Warnings struct {
	mu    sync.Mutex
	texts []string
}

// List returns each warning once.
func (w *Warnings) List() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.texts)
}

type warningsKey struct{}

// CollectWarnings returns a context whose warnings are kept, if the client's handler is a WarningCollector.
func CollectWarnings(ctx context.Context) (context.Context, *Warnings) {
	w := &Warnings{}
	return context.WithValue(ctx, warningsKey{}, w), w
}

// WarningCollector hands each warning to the context of its request, once.
type WarningCollector struct{}

var _ rest.WarningHandlerWithContext = WarningCollector{}

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (WarningCollector) HandleWarningHeaderWithContext(ctx context.Context, code int, _, text string) {
	w, ok := ctx.Value(warningsKey{}).(*Warnings)
	if !ok || code != 299 || text == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.texts, text) {
		w.texts = append(w.texts, text)
	}
}
