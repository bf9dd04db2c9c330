// Package pki is the certificate authority of a standalone server: it makes a CA once, keeps it in a directory, and
// issues the server's certificate and clients' certificates from it.
//
// Its one invariant: private keys are written with mode 0600 and never replaced, so that clients that trust the CA
// keep trusting it over restarts.
package pki
