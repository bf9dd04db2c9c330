// Command echo-advanced-standin stands in for the image registry.k8s.io/gateway-api/echo-advanced of upstream's conformance
// suite, which is Istio's echo application. It is not that: it is as much of it as the suite uses, written from what the
// suite reads of its output, in the format that Istio's has.
//
// Called as "client", it sends requests and prints what comes back:
//
//	client http://echo/path --method=GET -H Name:value --count=10
//	client grpc://echo:7070
//	client tcp://echo:9090
//
// Otherwise it serves: HTTP/1.1 and HTTP/2 on each --port, gRPC on each --grpc, TCP on each --tcp, and by TLS on those that
// are named by --tls, too.
//
// With GRPC_XDS_BOOTSTRAP, gRPC needs no proxy: grpc://echo:7070 is dialled as xds:///echo:7070. xDS knows no search
// domains, so that the first one of /etc/resolv.conf is appended to names without a dot.
package main
