// Package openapi describes the served types in OpenAPI: for `kubectl explain`, for clients that validate, and for
// server-side apply, which merges by the list types found here.
//
// The definitions of Gateway API types come from upstream's generated package, which has the descriptions but knows
// little of what the CustomResourceDefinitions demand (and invents a default "" for required strings). They are
// completed here from the CustomResourceDefinition of each version. Types that upstream has dropped, those
// of our own kinds, and Kubernetes types have generated definitions of their own.
//
// A retired version has today's Go types but the CustomResourceDefinition that it had last. What that one doesn't
// mention can be read and written nevertheless, so it is published as the hub has it.
//
// The one invariant: where the definition of a version and its CustomResourceDefinition speak of the same thing
// (defaults, enumerations, patterns, bounds, required fields, list and map types), they agree.
package openapi
