// Package bootstrap reads the configuration with which an Envoy starts (envoy.config.bootstrap.v3.Bootstrap), as far as the
// data plane executes it: who it is, where its xDS server is and how that is verified, which DNS server resolves names, its
// administration interface and its static listeners.
//
// The invariant: nothing in a bootstrap is ignored. A field that is set and isn't executed is an error that names it.
package bootstrap
