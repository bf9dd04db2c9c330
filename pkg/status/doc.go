// Package status renders the facts of package graph into the status of Gateway API objects and into the warnings that
// answer a write. It exists so that what an object's status says and what is served both come from the same facts.
//
// Rendering is a merge, the read-modify-write that the specification asks of implementations: the rendered conditions
// go into the status that is stored already. What belongs to somebody else stays as it was, to the byte: conditions of
// types that aren't rendered here, wherever they stand, and a route's parents and a policy's ancestors entries of other
// controllerNames.
//
// The one invariant, which a fuzz test holds: rendering the same facts into its own result returns an equal status,
// however much time has passed, so that a status that says everything already is not written again.
//
// All functions are pure: no clock, no I/O, no writes to their arguments. The caller renders inside the transaction
// that writes the object, so old and generation are the object's latest. A condition that claims to have observed a
// later generation can't be right then, and is corrected instead of waited for.
package status
