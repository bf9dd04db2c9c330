// Package router decides what becomes of a request: it compiles a RouteConfiguration and executes it as Envoy does, by Envoy's
// documentation and, where that is silent, its sources. It is pure: no clock, no I/O, no randomness but what a request brings.
//
// Its invariant: nothing in a RouteConfiguration is ignored. What Envoy refuses, and what this package doesn't execute, is an
// error of Compile that names the field.
package router
