//go:build race

package cluster

// race says that our replicas are built with the race detector, as the tests are.
const race = true

var raceFlag = []string{"-race"}
