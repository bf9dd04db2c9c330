// Package identity says who an xDS client is, and what it may read. A client proves who it is by a certificate, or by the token
// of a ServiceAccount; what its node metadata says is not asked.
//
// The one invariant: what can't be shown to be granted is refused. Errors are gRPC statuses, which say what to do:
// Unauthenticated and PermissionDenied are answers, Unavailable says that there was none.
package identity
