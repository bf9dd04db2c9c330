// Package durable writes files that survive a crash of the machine.
//
// Its one invariant: when a function returns without an error, what it did is on disk.
package durable
