// Package secret turns Envoy's TLS contexts and SDS secrets into configurations of crypto/tls.
//
// A [Store] has the secrets that SDS delivered, by name. [DownstreamConfig] and [UpstreamConfig] are the two ends of TLS; what
// they return reads the store for each connection, so that a renewed certificate counts for the next one and ends none.
//
// The invariant: no peer completes a handshake that its validation context doesn't let pass. Contexts that would have Envoy
// skip the validation are refused, and so is every field that isn't executed.
package secret
