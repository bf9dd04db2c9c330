// Package strict keeps the data plane from ignoring what it doesn't execute: each package lists the fields that it does, and
// has every message checked against its list before it uses it.
//
// Its one invariant: a field that is set, in a message or in one of those in it, is in the list, or it is named in an error.
package strict
