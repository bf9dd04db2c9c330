// Package apis says what the server serves: the group versions, their Go types, defaults and selectable fields.
//
// The hub (storage) version of a kind is upstream's newest Go type, registered both under its version and as
// __internal, so that serving that version converts nothing.
//
// The one invariant: a type is in Scheme if and only if it is served (or is one of the meta types that serving needs).
package apis
