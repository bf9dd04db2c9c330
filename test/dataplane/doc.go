// Package dataplane tests, end to end, that what the server generates does what it is meant to do: real requests go through a
// test data plane (plane, run by cmd/testdataplane), which takes its configuration from a real server. See README.md for what
// that data plane is, and what it is not.
//
// The one invariant: tests reach the data plane only as an Envoy could be reached, through a bootstrap, its listeners and its
// administration interface, so that an Envoy can take its place.
package dataplane
