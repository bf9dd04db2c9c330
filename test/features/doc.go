// Package features tests the whole server through the doors that users have: each script in testdata starts a real
// server (a process, with its etcd), drives it with the real kubectl, and reads what a real xDS client receives.
//
// A script is a txtar file for https://pkg.go.dev/github.com/rogpeppe/go-internal/testscript, with these commands besides:
//
//	server start [FLAG...]     start a standalone server on $WORK/data and wait until it is ready; sets API and XDS
//	server stop | kill         end it with SIGTERM, or with SIGKILL
//	server logged REGEXP       wait until the server's log matches; with "!", it does not match now
//	refused COMMAND [ARG...]   run gateway-apiserver, which has to end with exit code 1 and one line of error
//	kubectl ARG...             run kubectl; like exec, "! kubectl" expects it to fail
//	holds KIND/NAME FILE       FILE (YAML) holds of the object: its maps are parts of the object's maps, its lists are as
//	                           long as the object's, item by item; "<absent>" as a value says that the key is not there,
//	                           and "~REGEXP" that the value matches. Flags for kubectl get may stand before KIND
//	becomes KIND/NAME FILE     wait until it holds: for what is asynchronous, which statuses and xDS are not
//	printed FILE               FILE holds of what the last command printed (YAML)
//	serves NAMESPACE/NAME FILE FILE (YAML) holds of what a delta xDS client of that Gateway receives
//	serves --mesh NAME FILE    and of what a proxyless client that dials xds:///NAME receives
//	cert NAME DNSNAME...       write a self-signed certificate, NAME.crt and NAME.key
//	fill FILE                  replace $VARIABLE in FILE
//	tick                       wait until the clock shows another second, which is as fine as times in the API are
//	grpc TARGET [N]            make N unary gRPC calls to TARGET (xds:///...) as a proxyless client; prints how many
//	                           calls each backend answered
//	backend NAME PORT          run a gRPC server that answers with NAME; PORT names the variable that gets its port
//
// A script covers one rule: first its wording, then what it asks for, from the first write on and after each change.
// Statuses and xDS are looked at right after a write returns, without waiting.
package features
