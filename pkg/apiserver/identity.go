package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

const (
	// KeepIdentityHeader, with the value "true", says that the object in a create or an update moves here from another
	// server: see registry.Identity. It takes the permission for TakeoverVerb on the resource.
	KeepIdentityHeader = "Gateway-Apiserver-Keep-Identity"
	// TakeoverVerb is the verb of that permission, next to create or update.
	TakeoverVerb = "takeover"
	// movedAnnotation is set to "true" in the audit events of such writes.
	movedAnnotation = "gateway-apiserver.dev/kept-identity"
)

// withIdentity lets those who may take over a cluster's objects say who these objects are. It stands behind authorization,
// and reads bodies of up to limit bytes.
func withIdentity(next http.Handler, served versions, auth authorizer.UnconditionalAuthorizer, limit int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if len(req.Header.Values(KeepIdentityHeader)) == 0 {
			next.ServeHTTP(w, req)
			return
		}
		info, _ := genericapirequest.RequestInfoFrom(req.Context())
		v := served.of(info)
		if v == nil {
			responsewriters.ErrorNegotiated(badHeader("this is none of the resources that can be moved here"), apis.Codecs, metav1.Unversioned, w, req)
			return
		}
		moved, err := identify(req, info, v, auth, limit)
		if err != nil {
			responsewriters.ErrorNegotiated(err, apis.Codecs, v.GroupVersion(), w, req)
			return
		}
		next.ServeHTTP(w, moved)
	})
}

// identify returns the request with the identity that its body speaks of.
func identify(req *http.Request, info *genericapirequest.RequestInfo, v *registry.Version, auth authorizer.UnconditionalAuthorizer, limit int64) (*http.Request, error) {
	ctx := req.Context()
	if !slices.Equal(req.Header.Values(KeepIdentityHeader), []string{"true"}) {
		return nil, badHeader("the one value that it can have is true")
	}
	if info.Subresource != "" || info.Verb != "create" && info.Verb != "update" {
		return nil, badHeader("only a create and an update can have it, and not of a subresource")
	}
	if err := mayTakeOver(ctx, v.GroupResource(), auth); err != nil {
		return nil, err
	}
	_, encoding, ok := bodyOf(req)
	if !ok {
		return nil, badHeader("the object must be JSON, YAML or CBOR")
	}
	body, again, ok := readBody(req, limit)
	if !ok {
		return again, nil // for the handlers to refuse
	}
	var doc struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
	}
	if _, err := encoding.decode(body, &doc); err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("reading the metadata of a %s: %v", v.Kind, err))
	}
	identity, errs := readIdentity(&doc.Metadata)
	if len(errs) > 0 {
		return nil, apierrors.NewInvalid(v.GroupKind(), doc.Metadata.Name, errs)
	}
	audit.AddAuditAnnotation(ctx, movedAnnotation, "true")
	return again.WithContext(registry.WithIdentity(ctx, identity)), nil
}

// mayTakeOver asks whether the user may say who the objects of a resource are.
func mayTakeOver(ctx context.Context, resource schema.GroupResource, auth authorizer.UnconditionalAuthorizer) error {
	asked, err := filters.GetAuthorizerAttributes(ctx)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	attributes, ok := asked.(*authorizer.AttributesRecord)
	if !ok || auth == nil {
		return apierrors.NewForbidden(resource, asked.GetName(), fmt.Errorf("the header %s needs authorization", KeepIdentityHeader))
	}
	attributes.Verb = TakeoverVerb
	decision, reason, err := auth.Authorize(ctx, attributes)
	if decision == authorizer.DecisionAllow {
		return nil
	}
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	return responsewriters.ForbiddenStatusError(attributes, reason)
}

// readIdentity returns the identity that metadata speaks of, if it is one that an object can have.
func readIdentity(m *metav1.ObjectMeta) (*registry.Identity, field.ErrorList) {
	path := field.NewPath("metadata")
	const detail = "an object that moves here has it"
	var errs field.ErrorList
	if m.UID == "" {
		errs = append(errs, field.Required(path.Child("uid"), detail))
	}
	if m.CreationTimestamp.IsZero() {
		errs = append(errs, field.Required(path.Child("creationTimestamp"), detail))
	}
	if m.Generation < 1 {
		errs = append(errs, field.Required(path.Child("generation"), detail))
	}
	if m.DeletionTimestamp != nil && len(m.Finalizers) == 0 {
		errs = append(errs, field.Forbidden(path.Child("deletionTimestamp"), "an object that is being deleted and has no finalizers is gone already"))
	}
	if err := managedfields.ValidateManagedFields(m.ManagedFields); err != nil {
		errs = append(errs, field.Invalid(path.Child("managedFields"), field.OmitValueType{}, err.Error()))
	}
	return &registry.Identity{
		UID: types.UID(m.UID), CreationTimestamp: m.CreationTimestamp, Generation: m.Generation,
		DeletionTimestamp: m.DeletionTimestamp, ManagedFields: m.ManagedFields,
	}, errs
}

func badHeader(why string) error {
	return apierrors.NewBadRequest(fmt.Sprintf("header %s: %s", KeepIdentityHeader, why))
}

// admitMoved is admission that has nothing to say about objects that move here. They were admitted where they come from,
// as they are: a webhook must not make them others, and a quota counts them already.
type admitMoved struct{ admission.Interface }

var (
	_ admission.MutationInterface   = admitMoved{}
	_ admission.ValidationInterface = admitMoved{}
)

// Admit implements admission.MutationInterface.
func (a admitMoved) Admit(ctx context.Context, attributes admission.Attributes, o admission.ObjectInterfaces) error {
	mutating, ok := a.Interface.(admission.MutationInterface)
	if !ok || registry.IdentityFrom(ctx) != nil {
		return nil
	}
	return mutating.Admit(ctx, attributes, o)
}

// Validate implements admission.ValidationInterface.
func (a admitMoved) Validate(ctx context.Context, attributes admission.Attributes, o admission.ObjectInterfaces) error {
	validating, ok := a.Interface.(admission.ValidationInterface)
	if !ok || registry.IdentityFrom(ctx) != nil {
		return nil
	}
	return validating.Validate(ctx, attributes, o)
}
