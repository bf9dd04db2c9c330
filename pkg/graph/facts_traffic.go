package graph

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

// SessionFacts is how the requests of a client are kept at one endpoint (GEP-1619).
type SessionFacts struct {
	// Name of the cookie or the header that tells the endpoint. It is an HTTP token, or empty for one that is made up.
	Name string
	// Header says that the session is told by a header instead of a cookie.
	Header bool
	// Lifetime of a permanent cookie, more than 0; or 0 for a cookie that ends with the client's own session.
	Lifetime time.Duration
}

// RetryBudgetFacts is the limit of retries towards a Service or an XBackend (GEP-3388).
type RetryBudgetFacts struct {
	// Policy is the XBackendTrafficPolicy.
	Policy types.NamespacedName
	// Percent of the requests to the backend that may be retries, 0 to 100.
	Percent int
	// Interval is how long a request counts after it began.
	Interval time.Duration
	// MinConcurrency is how many retries may be in flight at least.
	MinConcurrency uint32
}

// BackendTrafficPolicyFacts is what is true of an XBackendTrafficPolicy.
type BackendTrafficPolicyFacts struct {
	Object *gwxv1alpha1.XBackendTrafficPolicy
	// Targets are in the order of spec.targetRefs.
	Targets []TrafficTargetFacts
	// Ancestors are what status is about: the Gateways that forward requests to a target, and targets without any.
	Ancestors []PolicyAncestorFacts
	// Warnings name fields that have no effect or another one, and why.
	Warnings []string
}

// TrafficTargetFacts is what is true between an XBackendTrafficPolicy and one of its targetRefs.
type TrafficTargetFacts struct {
	Ref gwv1.LocalPolicyTargetReference
	// Target is the Service or the XBackend, missing or not; zero if the target is of a kind that isn't supported.
	Target Key
	// Ancestors are the Gateways of ours that forward requests to the target, sorted; or else the target itself.
	Ancestors []gwv1.ParentReference
	// Unaccepted: TargetNotFound, Conflicted, Invalid.
	Unaccepted *Problem
}
