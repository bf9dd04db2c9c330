// Package crd defaults and validates Gateway API objects by the official CustomResourceDefinitions, and those of our own
// kinds by what controller-gen makes of their Go types: structural schemas, list types and CEL rules, run by the libraries
// with which kube-apiserver runs them. It also tells what else a definition says about its kind: names, scope, printer
// columns, subresources and deprecation.
//
// There is a [Schema] for every kind and version in each channel. The experimental one ([Lookup]) has every field of the
// standard one ([Standard]) and the same defaults, so that objects always get its defaults, whichever channel validates.
// Our own kinds are the same in both. [Rules] are what a request of a version is judged by. hack/schemas reads the
// definitions out of the pinned module, those of retired versions out of the last release that served them, and writes
// zz_generated.crds.jsonl. Its schemas are parsed when they are needed, and their rules compiled when one of them has to run.
//
// Most valid specs of the Gateway API are accepted by generated predicates (package accept), without any JSON values. The
// libraries judge the rest, and theirs are the errors.
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
