// Package definitions serves the CustomResourceDefinitions of the Gateway API and of our own kinds to those who look for
// them before they use it, as kubectl apply, Istio and the conformance suite do, where no API server has any.
//
// Its one invariant: there is a definition of each kind that the server's channel has, it says what is true of the kind
// here (the versions served, and which one is stored), and nothing can change it.
package definitions
