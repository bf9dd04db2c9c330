// Package accept says quickly that a typed spec is valid. Its predicates are generated from the schemas and CEL rules of
// the official CustomResourceDefinitions; the libraries that interpret those need a hundred times as long, most of it
// to make JSON values of the typed ones.
//
// The one invariant: what a predicate accepts, the libraries accept. What it doesn't accept may still be valid, so the
// libraries decide, and say what is wrong.
//
// A CEL expression becomes two conditions in Go: one that it surely is true, one that it surely is false. An expression
// that fails, because it selects a field that isn't there, is neither. So && and || absorb failures here as in CEL.
//
// Strings are taken to be valid UTF-8, as decoders make them.
package accept
