// Package cache holds what xDS clients are served and tells each of them what has changed: those of the delta protocol
// by itself, and those of the state-of-the-world protocol behind the server of go-control-plane. It knows no gateways: a scope is a
// name with resources in it.
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
// Make before break: no client is sent a listener or a route table before the clusters that it uses, nor told that a cluster is
// gone before it has acknowledged what no longer uses it. What was changed or is asked for waits until the client has acknowledged
// the clusters that were there when it began to wait, or rejected them; a client that asks for no clusters doesn't wait. A route table
// goes after its listener, because the state-of-the-world protocol can't say that it is gone, and Envoy doesn't heed it in the other.
// Each thing that a client may have was published, or served in its place, until after some revision, and what was removed after that
// is kept for it; what is needed again when something is parked is sent again.
//
// What a client rejects (NACK) is parked: that version of the resource goes to no stream that hasn't got it. Such streams are served
// the last version before that some stream acknowledged, which is kept for as long as one may need it, with the clusters,
// endpoints and secrets that it may use; or nothing, if there is none. Streams that accepted the version keep it, and if nothing
// older is known, that one is good enough for those that haven't rejected it. Another version lifts all this. What observers
// acknowledge or reject says nothing: they serve nothing of it.
//
// It is the same for a version that somebody else has parked (Park), such as another replica, or this one before it was restarted.
// What that says is good may never have been published here, so it comes with the clusters and endpoints that it uses, which are kept
// for it in turn.
//
// A scope may lie over another one, of which its clients see what it doesn't have itself. What shows again when a resource over it
// is removed is sent, be it the same. A rejection of what is seen of the other one parks it there.
//
// Memory: streams keep no history. A client that is slow has no more than a few responses in flight for each type, and is told the
// latest state when it has answered; what a scope keeps for it is bounded by the number of its resources, and of removals.
package cache
