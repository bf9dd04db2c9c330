// Package call sends requests of the data plane's own to clusters: what Envoy's filters and tracers do by its asynchronous HTTP
// client.
//
// Its invariant: a call is tried once. Whoever makes it decides what a failure means.
package call
