// Package upstream lets Gateway API's own tests judge a real server, in both channels:
//
//   - the suites of CEL tests that the releases up to v1.4.1 publish in their Go modules (pkg/test/cel), unchanged. Each
//     has a module of its own in the folder of its release, since a build has only one version of a module;
//   - the examples and invalid examples of the release that this project builds on, applied with the real kubectl.
//
// Invariant: the rules of the newest release hold for every version that it still defines, so an older suite fails where
// a later release changed a rule. Each such case is in a table with its reason and with what the server answers instead;
// a case that fails and isn't there is an error, and so is one that is there and passes.
package upstream
