// Package accesslog writes a line for each request, connection or UDP session that has ended, in the formats of Envoy's file
// access logger: text, or JSON that keeps the types of values.
//
// Its one invariant: a command operator that it doesn't execute is an error when the configuration is read, never an empty field.
package accesslog
