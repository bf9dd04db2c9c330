// Package pki makes certificate authorities and issues certificates from them: for the server, its clients and its
// peers. LoadOrMake keeps a CA in a directory, for a server on its own.
//
// Its one invariant: a file with a private key has mode 0600, and that of a CA is never replaced, so that clients that
// trust the CA keep trusting it over restarts.
package pki
