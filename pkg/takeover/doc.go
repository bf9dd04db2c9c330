// Package takeover moves the objects of a cluster between its CustomResourceDefinitions and gateway-apiserver, and then the
// APIServices: Takeover to gateway-apiserver, Handback to the CustomResourceDefinitions. Both are the same operation,
// a mirror of one side in the other, repeated until there is nothing left to do; what was written to the old side until
// everybody was asking the new one is caught up afterwards.
//
// As long as APIServices point to gateway-apiserver, the objects of the CustomResourceDefinitions can't be reached at
// their versions. So they get one more version for the time of a move, the side door, which no APIService hides.
//
// Where a move stands follows from what is there: APIServices, the side door, and a record on each moved object of what
// it was made from. A ConfigMap says what can't be seen, such as from which revision on the old side has to be caught
// up. So either move can be stopped at any moment, and run again.
//
// The one invariant: an object is on both sides before the APIServices change, and is not deleted on one while it is
// only there.
package takeover
