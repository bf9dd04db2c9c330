// Package conformance runs upstream's conformance suite, sigs.k8s.io/gateway-api/conformance, as it is, against
// gateway-apiserver: in a cluster with Envoys that somebody else runs, in a cluster with Envoys that it runs itself, and
// standalone. All profiles for gateways are claimed, with the features that the status of the GatewayClass says are
// supported.
//
// Its one invariant: a test of the suite passes, fails, or stands in a table with the reason why it is left out (ways.go).
// One that is skipped, as the GatewayClass doesn't claim a feature, has failed.
//
// No Envoy runs, so that tests that send traffic are left out. Each of the others only looks at what the API says.
//
// In a cluster there are upstream's CustomResourceDefinitions, and gateway-apiserver is installed over them. The cluster
// has no nodes: pods are made by the real controllers, and what would schedule and run them only says that it did
// (node.go).
//
// A standalone server knows no workloads. Its users run them somewhere, and tell it where by EndpointSlices. Here they run
// in a cluster that knows nothing of the Gateway API: the client of the suite sends what is about Deployments, Pods and
// ServiceAccounts there, and everything else to the standalone server (split.go); the cluster is told the Namespaces and
// Services, and the standalone server the EndpointSlices (copies.go).
//
// To run single tests, and see what they wait for:
//
//	go -C test/conformance test -v -run 'TestStandalone/GatewayModifyListeners$'
//	go -C test/conformance test -v -run 'TestCluster/ListenerSet'
//
// The flags of the suite work too. These claim all features of a test, whatever the GatewayClass claims, and give up soon:
//
//	-supported-features=Gateway,ListenerSet -timeout-config-overrides='ListenerSetMustHaveCondition:5'
//
// With -reports=DIR and -version=VERSION, upstream's reports are written to DIR, one for each way.
package conformance
