// Package lint finds what is wrong in Envoy configuration although it can be read: what an Envoy or another xDS client
// refuses, what it accepts and never uses, and what the resources of a node say about each other that isn't so.
//
// Its one invariant: it knows Envoy's API and nothing of gateways. So it judges what was made by documentation that those
// who made it can't have read wrongly the same way, and it can judge anybody's configuration.
package lint
