// Package openapi describes the served types in OpenAPI: for `kubectl explain`, for clients that validate, and for
// server-side apply, which merges by the list types found here.
//
// The definitions of Gateway API types come from upstream's generated package, which has the descriptions but knows
// little of what the CustomResourceDefinitions demand (and invents a default "" for required strings). They are
// completed here from the CustomResourceDefinitions. Kubernetes types have generated definitions of their own.
//
// The one invariant: where a Gateway API definition and the CustomResourceDefinition speak of the same thing (defaults,
// enumerations, patterns, bounds, required fields, list and map types), they agree.
package openapi
