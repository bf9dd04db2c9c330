// Package features tests the whole server through the doors that users have: each script in testdata starts a real
// server (a process, with its etcd), drives it with the real kubectl, and reads what a real xDS client receives.
//
// A script is a txtar file for https://pkg.go.dev/github.com/rogpeppe/go-internal/testscript, with the commands of package
// script and these:
//
//	server start [FLAG...]     start a standalone server on $WORK/data and wait until it is ready; sets API and XDS
//	server stop | kill         end it with SIGTERM, or with SIGKILL
//	server logged REGEXP       wait until the server's log matches; with "!", it does not match now
//	grpc TARGET [N]            make N unary gRPC calls to TARGET (xds:///...) as a proxyless client; prints how many
//	                           calls each backend answered; with --proxyless NAMESPACE before TARGET, as a client there,
//	                           and with --cert-dir DIR after that, one with the certificate in it
//	backend NAME PORT          run a gRPC server that answers with NAME; PORT names the variable that gets its port
//
// A script covers one rule: first its wording, then what it asks for, from the first write on and after each change.
// Statuses and xDS are looked at right after a write returns, without waiting.
package features
