// Package selfsigned makes the certificates of a server in a cluster from certificate authorities that all its replicas
// share: the serving certificate, which kube-apiserver verifies by the caBundle of our APIServices, and those of etcd's
// peers. Each CA is in a Secret, from which every replica issues its own certificates.
//
// The Secret of the serving CA has the type kubernetes.io/tls: the CA that signs in tls.crt and tls.key, and all that
// are to be trusted in ca.crt. Whoever wants another CA puts it into tls.crt and tls.key; whoever wants everything new
// deletes the Secret. Replicas take no turns: each one does what it finds undone, a write to the Secret succeeds only if
// nobody else has written since, and so any of them can end anywhere.
//
// The one invariant: what is served is trusted. ca.crt has the issuer of every certificate that a replica serves, the
// caBundles are what ca.crt is, and a replica changes to another issuer only when all APIServices have trusted that for
// a while. Only a certificate that would run out is replaced before.
package selfsigned
