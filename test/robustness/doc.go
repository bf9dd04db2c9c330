// Package robustness writes random histories through two replicas over a real etcd, while things go wrong, and checks what
// clients of all kinds have seen against what was stored.
//
// What was stored is known from etcd itself, whose changes a client of the test's own follows (Log): so a request whose answer
// was lost either shows in the log, or has had no effect. What may be seen is said by one function, Step, against which
// porcupine checks the histories. It covers what Kubernetes promises to be linearizable: writes, and the reads GET and LIST
// without a resourceVersion, which return the most recent state. A LIST with resourceVersion=0 and a watch may be behind; they
// are compared with the log at the version that they say they have.
//
// Its one invariant: a check never depends on time. What is to become true is waited for, and what may never happen is looked
// for in all that was seen.
package robustness
