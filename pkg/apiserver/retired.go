package apiserver

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/retired"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

// retiredAnnotation is set in the audit events of writes with retired fields: their names, with commas between them.
const retiredAnnotation = "gateway-apiserver.dev/retired-fields"

// withRetiredFields rewrites writes that have fields of another release of the Gateway API, so that what stands behind it
// (strict field validation, ownership of fields, audit) sees their successors, and warns who sent them. What a merge patch
// says of a list that it doesn't know is rewritten later, by patchedSerializer.
//
// Bodies up to limit bytes are read; others, and those that nobody can decode, are for the handlers to refuse.
func withRetiredFields(next http.Handler, served versions, limit int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		info, _ := genericapirequest.RequestInfoFrom(req.Context())
		v := served.of(info)
		if v == nil || info.Verb != "create" && info.Verb != "update" && info.Verb != "patch" {
			next.ServeHTTP(w, req)
			return
		}
		fields := retired.Lookup(v.GroupKind())
		patch, encoding, ok := bodyOf(req)
		if len(fields) == 0 || !ok {
			next.ServeHTTP(w, req)
			return
		}
		body, req, ok := readBody(req, limit)
		if !ok || !encoding.mayHave(fields, body) {
			next.ServeHTTP(w, req)
			return
		}
		write := &write{Version: v, fields: fields, name: info.Name, patch: patch, encoding: encoding}
		if err := write.rewrite(req, body); err != nil {
			responsewriters.ErrorNegotiated(err, apis.Codecs, v.GroupVersion(), w, req)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// write is a request that may have retired fields.
type write struct {
	*registry.Version
	fields   retired.Fields
	name     string // of the object; empty if it is only in the body
	patch    types.PatchType
	encoding encoding
}

// rewrite gives req, which must be a copy, the body that says the same without retired fields.
func (wr *write) rewrite(req *http.Request, body []byte) error {
	if wr.patch == types.JSONPatchType {
		return wr.checkJSONPatch(req, body)
	}
	var doc map[string]any
	strict, err := wr.encoding.decode(body, &doc)
	if err != nil || doc == nil {
		return nil // the handlers say it better
	}
	form := retired.Object
	if wr.patch == types.MergePatchType || wr.patch == types.StrategicMergePatchType {
		form = retired.MergePatch
	}
	result, errs := wr.fields.Rewrite(doc, form)
	if result.Left && wr.patch == types.StrategicMergePatchType {
		errs = append(errs, makeMergePatch(req, doc)...)
	}
	var used []*retired.Field
	for _, use := range result.Uses {
		used = append(used, use.Field)
	}
	wr.record(req, used)
	if len(errs) > 0 {
		return wr.invalid(doc, errs)
	}
	for _, use := range result.Uses {
		warning.AddWarning(req.Context(), "", use.Warning())
	}
	if !result.Changed {
		return nil
	}
	if err := wr.checkStrict(req, strict); err != nil {
		return err
	}
	if body, err = wr.encoding.encode(doc); err != nil {
		return fmt.Errorf("encoding %s without its retired fields: %w", wr.Kind, err)
	}
	setBody(req, body)
	return nil
}

// record makes visible who still uses retired fields.
func (wr *write) record(req *http.Request, used []*retired.Field) {
	if len(used) == 0 {
		return
	}
	var names []string
	for _, f := range used {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, name := range names {
		retiredFieldWrites.WithContext(req.Context()).WithLabelValues(wr.Group, wr.Version.Version, wr.Kind, name).Inc()
	}
	audit.AddAuditAnnotation(req.Context(), retiredAnnotation, strings.Join(names, ","))
}

// checkStrict does for a document that is to be written anew what the handlers do with the complaints of strict field
// validation, which they can't have about the new one.
func (wr *write) checkStrict(req *http.Request, complaints []error) error {
	if len(complaints) == 0 {
		return nil
	}
	switch req.URL.Query().Get("fieldValidation") {
	case metav1.FieldValidationStrict:
		return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", wr.Kind, wr.Version.Version, wr.Kind, runtime.NewStrictDecodingError(complaints)))
	case metav1.FieldValidationIgnore:
	default:
		for _, complaint := range complaints {
			warning.AddWarning(req.Context(), "", complaint.Error())
		}
	}
	return nil
}

// checkJSONPatch refuses operations on retired fields, which the stored object doesn't have.
func (wr *write) checkJSONPatch(req *http.Request, body []byte) error {
	var operations []struct {
		Path  string `json:"path"`
		From  string `json:"from"`
		Value any    `json:"value"`
	}
	if _, err := wr.encoding.decode(body, &operations); err != nil {
		return nil
	}
	var used []*retired.Field
	var errs field.ErrorList
	for i, op := range operations {
		for _, f := range append(wr.fields.NamedIn(op.Path, op.Value), wr.fields.NamedIn(op.From, nil)...) {
			used = append(used, f)
			errs = append(errs, field.Forbidden(field.NewPath("patch").Index(i), fmt.Sprintf("%s. A JSON patch is about the object as it is stored, which has no such field", f)))
		}
	}
	wr.record(req, used)
	if len(errs) > 0 {
		return wr.invalid(nil, errs)
	}
	return nil
}

func (wr *write) invalid(doc map[string]any, errs field.ErrorList) error {
	name := wr.name
	if meta, ok := doc["metadata"].(map[string]any); ok && name == "" {
		name, _ = meta["name"].(string)
	}
	return apierrors.NewInvalid(wr.GroupKind(), name, errs)
}

// makeMergePatch turns a strategic merge patch of a kind of the Gateway API into the JSON merge patch that does the same:
// only the latter is applied to an encoded object, which patchedSerializer can rewrite. There is no such patch if it merges lists,
// which in these kinds only metadata has, or has directives.
func makeMergePatch(req *http.Request, doc map[string]any) field.ErrorList {
	const detail = "a strategic merge patch can't have this and a retired field: send it as " + string(types.MergePatchType)
	var errs field.ErrorList
	if meta, ok := doc["metadata"].(map[string]any); ok {
		for _, list := range []string{"finalizers", "ownerReferences"} {
			if _, found := meta[list]; found {
				errs = append(errs, field.Forbidden(field.NewPath("metadata", list), detail))
			}
		}
	}
	if directive := findDirective(doc); directive != "" {
		errs = append(errs, field.Forbidden(field.NewPath(directive), detail))
	}
	req.Header = req.Header.Clone()
	req.Header.Set("Content-Type", string(types.MergePatchType))
	return errs
}

// findDirective returns a key that is an instruction of a strategic merge patch, or nothing.
func findDirective(value any) string {
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			if strings.HasPrefix(key, "$") {
				return key
			}
			if directive := findDirective(inner); directive != "" {
				return directive
			}
		}
	case []any:
		for _, inner := range value {
			if directive := findDirective(inner); directive != "" {
				return directive
			}
		}
	}
	return ""
}
