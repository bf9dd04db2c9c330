// Package cache holds what xDS clients are served and tells each of them what has changed, behind the delta and
// state-of-the-world servers of go-control-plane. It knows no gateways: a scope is a name with resources in it.
//
// It replaces the caches of go-control-plane, which marshal a resource again for every stream that it is sent to, keep a
// map of everything for each wildcard stream, and answer a rejection with what was just rejected. Here a resource is
// encoded once, and a stream is a position in a log of changes that all streams of the scope share, so that a change
// costs each stream no more than its own size.
//
// The invariant: a client that acknowledges what it is sent comes to have exactly the resources of its scope that it
// subscribes to. It is sent a change once, rejected or not, unless it asks for the resource again, or Envoy is known to
// wait for it again (the endpoints of a changed cluster).
//
// A scope may lie over another one, of which its clients see what it doesn't have itself. What shows again when a resource over it
// is removed is sent, be it the same.
//
// Order. Clients apply the types of one stream independently, so the cache makes before it breaks: listeners and routes
// are sent after the clusters that they may use have been acknowledged, which Envoy does when it has warmed them, and
// clusters, endpoints and secrets are removed after the listeners and routes that used them. See the section "Eventual
// consistency considerations" of https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol.
package cache
