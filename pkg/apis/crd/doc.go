// Package crd defaults and validates Gateway API objects by the official CustomResourceDefinitions: their structural
// schemas, list types and CEL rules, run by the libraries with which kube-apiserver runs them. It also tells what else
// a definition says about its kind: names, scope and printer columns.
//
// The definitions are those of the experimental channel, which is a superset of the standard one; hack/schemas reads
// them out of the pinned module and writes zz_generated.crds.jsonl, one definition per line.
//
// Objects are typed here, while the libraries work on JSON values. What a typed object cannot tell apart, this package
// cannot either: a required field that is missing from one that is empty ("" for a string, 0 for a number). A missing
// string is therefore refused by its minimum length or pattern, and accepted where "" is valid (the core group).
//
// Status, which the server renders, starts as the schema's default ([Schema.SetInitialStatus]). It is defaulted and
// validated only where a client writes it, with [Schema.DefaultStatus] and [Schema.ValidateStatusUpdate].
//
// The one invariant: validation never writes to its arguments, and an object that the CustomResourceDefinition refuses
// is refused here, but for the limits of typed objects above.
package crd
