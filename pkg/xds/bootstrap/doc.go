// Package bootstrap renders the configuration with which an Envoy starts (envoy.config.bootstrap.v3.Bootstrap): who it is,
// where its xDS server is and how that is verified. All else it takes from there, over one aggregated delta stream. It
// is the same for an Envoy that somebody runs by hand and for one that the server provisions. Proxyless gRPC clients have a
// bootstrap of their own form (gRFC A27).
//
// The one invariant: the administration interface, which can stop the Envoy, is nowhere but where the options put it, and
// nothing else that is rendered lets anybody in but to ask whether the Envoy is ready.
package bootstrap
