// Package script has the commands that txtar scripts of several test suites share, for
// https://pkg.go.dev/github.com/rogpeppe/go-internal/testscript. They drive a server with the real kubectl, and compare
// what it answers with what the script says:
//
//	kubectl ARG...             run kubectl; like exec, "! kubectl" expects it to fail
//	holds KIND/NAME FILE       FILE (YAML) holds of the object: its maps are parts of the object's maps, its lists are as
//	                           long as the object's, item by item; "<absent>" as a value says that the key is not there,
//	                           and "~REGEXP" that the value matches. Flags for kubectl get may stand before KIND
//	becomes KIND/NAME FILE     wait until it holds: for what is asynchronous, which statuses and xDS are not
//	printed FILE               FILE holds of what the last command printed (YAML)
//	serves NAMESPACE/NAME FILE FILE (YAML) holds of what a delta xDS client of that Gateway receives
//	serves --mesh NAME FILE    and of what a proxyless client that dials xds:///NAME receives; with --proxyless NAMESPACE
//	                           before FILE, one in that namespace
//	serves --sidecar NS FILE   and of what the sidecars in a namespace receive
//	envoy ID NAMESPACE/GATEWAY connect a stand-in for an Envoy that serves a Gateway, asks for what an Envoy would, and acknowledges it; with
//	                           fleet/NAMESPACE/NAME one that serves Gateways that are merged. A directory of "xds-cert" after
//	                           that has the certificate that it shows
//	envoy ID rejects TEXT MSG   and from now on it rejects, with that message, responses in which a resource contains TEXT
//	envoy ID has TEXT          wait until something that it has taken contains TEXT; with "!", nothing does
//	envoy ID ended REGEXP      wait until the server has ended its stream, with an error that matches
//	envoy ID stops             disconnect it
//	refused COMMAND [ARG...]   run gateway-apiserver, which has to end with exit code 1 and one line of error
//	cert NAME DNSNAME...       write a self-signed certificate, NAME.crt and NAME.key
//	fill FILE                  replace $VARIABLE in FILE
//	tick                       wait until the clock shows another second, which is as fine as times in the API are
//
// The suite puts kubectl and gateway-apiserver into the PATH of its scripts, and sets KUBECONFIG and, for "serves", XDS.
package script
