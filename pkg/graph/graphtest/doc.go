// Package graphtest writes random histories of objects, for tests of everything that reads the graph: whatever keeps
// what it has derived from the graph up to date must end with the same as if it had seen nothing but the final objects.
//
// The names are few, so that objects meet: nearly every reference is to something that is there, was there or will be.
// Not everything is valid, as the graph is to make sense of what a schema lets through and of some of what it doesn't.
//
// The one invariant: the same bytes give the same history, so that a fuzzer can write histories and a failing seed
// fails again. Only the certificates differ from one process to the next.
package graphtest
