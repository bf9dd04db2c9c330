// Package apis says what the server serves: the group versions, their Go types, defaults and selectable fields.
//
// The hub (storage) version of a kind of the Gateway API is upstream's newest Go type, and that of our own is ours. It is
// registered both under its version and as __internal, so that serving that version converts nothing.
//
// A kind that has moved between groups is one stored object that is served in both: its hub is registered in each of
// them, by the name that it has there (see registerHub).
//
// The one invariant: a type is in Scheme if and only if it is served (or is one of the meta types that serving needs).
package apis
