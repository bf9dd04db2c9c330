// Package documents reads files of YAML or JSON documents into objects. It exists so that a file means the same to all
// that read it, the directories of package manifests and the imports of package transfer. What a reader then drops of an
// object is its own affair.
//
// The one invariant: nothing in a file is silently ignored. Every object in it is in a Document, or in a Problem that
// says where it stands and what is wrong with it. Only comments, and what a list says of itself, are in neither.
package documents
