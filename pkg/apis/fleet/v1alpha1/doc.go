// Package v1alpha1 declares this project's own kinds, which are about what the Gateway API leaves to implementations: the
// Envoys that serve Gateways. EnvoyFleet says how they are found, reached and observed; GatewayClasses and Gateways refer to
// it by parametersRef. EnvoyNode says what is true of one of them; only the server writes it.
//
// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +groupName=gateway-apiserver.dev
package v1alpha1
