// Package v1alpha1 declares EnvoyFleet, the one kind of this project's own: what the Gateway API leaves to
// implementations about the Envoys that serve a Gateway. GatewayClasses and Gateways refer to it by parametersRef.
//
// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +groupName=gateway-apiserver.dev
package v1alpha1
