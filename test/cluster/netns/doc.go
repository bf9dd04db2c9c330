// Package netns runs the tests of a package in Linux namespaces of their own: network, mounts and processes. What they do
// to interfaces, routes, packet filters and mounts is seen by nobody else, so that two runs don't meet and a machine stays
// as it is.
//
// Its one invariant: when the test binary has ended, however it did, its namespaces are gone, with every process that was
// started in them.
package netns
