package retired

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

// Histories of the fields. They come from comparing the CustomResourceDefinitions of the releases v0.4.3 to v1.6.3, and
// for v1.7 from its release notes.
const (
	retiredIn12 = "was retired in Gateway API v1.2"
	retiredIn14 = "was retired in Gateway API v1.4"
	retiredIn16 = "was retired in Gateway API v1.6"
	sinceV17    = "is a name of Gateway API v1.7"
)

// kinds has a row for each kind that has retired fields, and in it one for each field.
var kinds = map[schema.GroupKind]Fields{
	{Group: gatewayv1.GroupName, Kind: "GatewayClass"}: {
		{Name: "status.supportedFeatures[]", Successor: "status.supportedFeatures[].name", history: retiredIn12, marker: "supportedFeatures", rewrite: nameFeatures},
	},
	{Group: gatewayv1.GroupName, Kind: "Gateway"}: {
		{Name: "spec.backendTLS", Successor: "spec.tls.backend", history: retiredIn14, marker: "backendTLS", rewrite: moveBackendTLS},
		{Name: frontendValidationName, Successor: "spec.tls.frontend.perPort[].tls.validation", history: retiredIn14, marker: frontendValidation, rewrite: moveFrontendValidation},
	},
	{Group: gatewayxv1alpha1.GroupVersion.Group, Kind: "XListenerSet"}: {
		{Name: frontendValidationName, Successor: gatewayFrontend, history: retiredIn14, marker: frontendValidation, rewrite: refuseFrontendValidation},
	},
	{Group: gatewayv1.GroupName, Kind: "HTTPRoute"}:                             append(persistenceFields(inRules), idleTimeout(inRules)),
	{Group: gatewayv1.GroupName, Kind: "GRPCRoute"}:                             append(persistenceFields(inRules), idleTimeout(inRules)),
	{Group: gatewayxv1alpha1.GroupVersion.Group, Kind: "XBackendTrafficPolicy"}: append(persistenceFields(inPolicy), idleTimeout(inPolicy)),
	// Its Go type has idleTimeout, and conversion knows what becomes of it.
	{Group: gatewayv1.GroupName, Kind: "BackendLBPolicy"}: persistenceFields(inPolicy),
	{Group: gatewayxv1alpha1.GroupVersion.Group, Kind: "XBackend"}: {
		{Name: "spec.port.number", Successor: "spec.port.port", history: sinceV17, marker: "number", rewrite: renamePort},
		{Name: "status.ancestors", Successor: "status.parents", history: sinceV17, marker: "ancestors", rewrite: renameAncestors},
	},
}
