// Package conformance runs upstream's conformance suite, sigs.k8s.io/gateway-api/conformance, as it is and with traffic,
// against gateway-apiserver: in a cluster, standalone, in a cluster with Envoys that it runs itself, and as the control
// plane of a mesh. All profiles are claimed, with the features that the status of the GatewayClass, or of the XMesh, says
// are supported.
//
// Its one invariant: a test of the suite passes, fails, or stands in a table with the reason why it is left out (ways.go).
// One that is skipped, as nothing claims a feature, has failed.
//
// What carries the traffic is testdataplane (test/dataplane), started as an Envoy is, with the bootstrap that
// gateway-apiserver prints. With ENVOY=/path/to/envoy in the environment, that is run in its place.
//
// The tests run in Linux namespaces of their own (test/cluster/netns), in which each Gateway has an address of its own and
// an operator runs a data plane for it (operator.go). There are upstream's CustomResourceDefinitions, and gateway-apiserver
// is installed over them. The cluster's only node runs the containers of Pods as processes (test/cluster/node). In a mesh,
// each Pod of the suite gets a data plane as a sidecar, or the bootstrap of proxyless gRPC (mesh.go).
//
// A standalone server knows no workloads. Its users run them somewhere, and tell it where by EndpointSlices. Here they run
// in a cluster that knows nothing of the Gateway API: the client of the suite sends what is about Deployments, Pods and
// ServiceAccounts there, and everything else to the standalone server (split.go); the cluster is told the Namespaces,
// Services, Secrets and ConfigMaps, and the standalone server the EndpointSlices (copies.go).
//
// To run single tests, and see what they wait for:
//
//	go -C test/conformance test -v -run 'TestStandalone/HTTPRouteMatching$'
//	go -C test/conformance test -v -run 'TestCluster/ListenerSet' -args -logs=/tmp/logs
//
// With -short, there are as few tests as have all features of the others. The flags of the suite work too. These claim all
// features of a test, whatever the GatewayClass claims, and give up soon:
//
//	-supported-features=Gateway,ListenerSet -timeout-config-overrides='ListenerSetMustHaveCondition:5'
//
// With -reports=DIR and -version=VERSION, upstream's reports are written to DIR, one for each way.
package conformance
