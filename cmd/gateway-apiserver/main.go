// Command gateway-apiserver serves the Gateway API and feeds Envoy fleets.
package main

import (
	"os"

	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/gateway-apiserver/gateway-apiserver/cmd/gateway-apiserver/app"
)

func main() {
	os.Exit(app.Run(genericapiserver.SetupSignalContext(), os.Args[1:], os.Stdout, os.Stderr))
}
