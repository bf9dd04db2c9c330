package manifests

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/documents"
)

const (
	// Annotation is on every object that the follower made: the absolute path of the file that declares it.
	Annotation = "gateway-apiserver.dev/manifest"
	// FieldManager owns the fields that the files set.
	FieldManager = "gateway-apiserver-manifests"

	defaultNamespace = metav1.NamespaceDefault
)

// errUnavailable says that the server gives no answers at present.
var errUnavailable = errors.New("the API server is not available")

// applyAll applies the documents that are not applied yet. It returns what is wrong with those that could not be, or
// errUnavailable.
func (f *Follower) applyAll(ctx context.Context, documents []document) (applied int, problems []problem, _ error) {
	before := f.refused
	f.refused = map[digest]problem{}
	for _, d := range documents {
		sum, err := d.digest()
		if err == nil && f.applied[d.key()] == sum {
			continue
		}
		p, known := before[sum]
		if !known {
			if err == nil {
				err = f.apply(ctx, d)
			}
			if err == nil {
				applied++
				f.applied[d.key()] = sum
				continue
			}
			if unavailable(err) {
				return applied, nil, fmt.Errorf("%w: %w", errUnavailable, err)
			}
			p = problemOf(d, err)
		}
		if p.lasting {
			f.refused[sum] = p
		}
		p.place = d.Place // a document may move within its file
		problems = append(problems, p)
	}
	return applied, problems, nil
}

// apply applies a document, and notes whether the object is the follower's.
func (f *Follower) apply(ctx context.Context, d document) error {
	gvk := d.Object.GroupVersionKind()
	mapping, err := f.mappingOf(gvk)
	if err != nil {
		return err
	}
	object := d.Object.DeepCopy()
	at := target{resource: mapping.Resource, name: object.GetName()}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		if object.GetNamespace() == "" {
			object.SetNamespace(defaultNamespace)
		}
		at.namespace = object.GetNamespace()
	}
	made, err := f.mayMake(ctx, at)
	if err != nil {
		return err
	}
	if made {
		if err := unstructured.SetNestedField(object.Object, d.File, "metadata", "annotations", Annotation); err != nil {
			return err
		}
	}
	if err := f.patch(ctx, at, object, d.Place); err != nil {
		return err
	}
	delete(f.made, d.key())
	if made {
		f.made[d.key()] = ownership{target: at, file: d.File}
	}
	return nil
}

// mappingOf tells by which resource a server serves a kind.
func (f *Follower) mappingOf(gvk schema.GroupVersionKind) (*meta.RESTMapping, error) {
	if f.mapper == nil {
		groups, err := restmapper.GetAPIGroupResources(f.discovery)
		if err != nil {
			return nil, err
		}
		f.mapper = restmapper.NewDiscoveryRESTMapper(groups)
	}
	return f.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
}

// target is where a server has an object.
type target struct {
	resource        schema.GroupVersionResource
	namespace, name string // no namespace for a kind that has none
}

// mayMake says whether the object is the follower's to delete: it isn't there yet, or the follower made it.
func (f *Follower) mayMake(ctx context.Context, at target) (bool, error) {
	current, err := f.metadata.Resource(at.resource).Namespace(at.namespace).Get(ctx, at.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	_, ours := madeFrom(current)
	return ours, nil
}

// patch applies an object. What the server warns about is logged with the document's place.
func (f *Follower) patch(ctx context.Context, at target, object *unstructured.Unstructured, from place) error {
	data, err := json.Marshal(object)
	if err != nil {
		return err
	}
	logger := klog.FromContext(ctx).WithValues("file", from.File, "document", from.Number, "line", from.Line, "object", documents.Title(object))
	force := true
	_, err = resourceIn(f.dynamic, at).Patch(klog.NewContext(ctx, logger), at.name, types.ApplyPatchType, data, metav1.PatchOptions{
		FieldManager: FieldManager, Force: &force, FieldValidation: metav1.FieldValidationStrict,
	})
	return err
}

func resourceIn(client dynamic.Interface, at target) dynamic.ResourceInterface {
	if at.namespace == "" {
		return client.Resource(at.resource)
	}
	return client.Resource(at.resource).Namespace(at.namespace)
}

// madeFrom returns the file that an object was made from, if the follower made it. The annotation alone may be a copy:
// it counts only while the follower is the one who set it.
func madeFrom(o metav1.Object) (file string, ok bool) {
	file, ok = o.GetAnnotations()[Annotation]
	if !ok {
		return "", false
	}
	for _, entry := range o.GetManagedFields() {
		if entry.Manager == FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply && entry.FieldsV1 != nil &&
			strings.Contains(entry.FieldsV1.GetRawString(), `"f:`+Annotation+`"`) {
			return file, true
		}
	}
	return "", false
}

// unavailable says whether an error means that the server gives no answers at present.
func unavailable(err error) bool {
	var noAnswer *url.Error
	return errors.As(err, &noAnswer) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsTooManyRequests(err) || apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err)
}

// mistyped is how server-side apply answers, with the code 500, an object that doesn't fit its schema
// (apimachinery's managedfields/internal.structuredMergeManager.Apply).
const mistyped = "failed to create typed patch object"

// problemOf tells what an answer to the application of a document means.
func problemOf(d document, err error) problem {
	return problem{
		place:  d.Place,
		object: documents.Title(d.Object),
		field:  strings.Join(fieldsOf(err), ", "),
		err:    err,
		lasting: apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsMethodNotSupported(err) ||
			apierrors.IsRequestEntityTooLargeError(err) || strings.Contains(err.Error(), mistyped),
	}
}

// fieldPatterns find paths in the messages of strict decoding (apimachinery's runtime.strictDecodingError) and of
// server-side apply (structured-merge-diff's typed.ValidationErrors).
var fieldPatterns = []*regexp.Regexp{
	regexp.MustCompile(`(?:unknown|duplicate) field "([^"]+)"`),
	regexp.MustCompile(`(?:^|\s)\.(\S+): `),
}

// fieldsOf returns the fields that an answer complains about.
func fieldsOf(err error) []string {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		return nil
	}
	var fields []string
	if details := answer.Status().Details; details != nil {
		for _, cause := range details.Causes {
			if cause.Field != "" {
				fields = append(fields, cause.Field)
			}
		}
	}
	if len(fields) > 0 {
		return fields
	}
	for _, pattern := range fieldPatterns {
		for _, match := range pattern.FindAllStringSubmatch(answer.Status().Message, -1) {
			fields = append(fields, match[1])
		}
	}
	return fields
}
