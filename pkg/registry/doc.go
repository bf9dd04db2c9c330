// Package registry stores objects: one table with a row for each kind (kinds.go), one generic strategy, one store and
// one status endpoint for all of them. A new kind is a new row.
//
// Its one invariant: the status that belongs to this implementation is never what a client sent. It is what the Model
// says of the object at the moment of the write, merged into what other controllers wrote.
package registry
