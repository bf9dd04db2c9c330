// Package migration rewrites objects that an older release stored in a form that this one would not write: in another
// version of their kind, without defaults that are known by now, or encoded in another way. Nothing depends on it to
// serve, since what is read is converted anyway, but only what has been rewritten can be read by a release that has
// dropped the old form.
//
// What is stored is compared, byte by byte, with what this release would store. That is read from etcd itself, in pages:
// the watch cache has objects, not their bytes. Nobody keeps a record of which release has been through everything, as
// it would be wrong as soon as a replica of an older release wrote once more.
//
// The one invariant: an object says the same before and after. Its UID, status and managers stay, it is written in a
// transaction that fails if anybody else has written it meanwhile, and an object with fields that this release does not
// know, as a newer one may have stored it, is left as it is. So several replicas can do this at the same time.
package migration
