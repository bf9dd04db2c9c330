// Package path brings the paths of requests into the one spelling that routes are matched by, as the options
// path_with_escaped_slashes_action, normalize_path and merge_slashes of Envoy's HTTP connection manager say.
//
// Its invariant: what comes after the first question mark is never changed.
package path
