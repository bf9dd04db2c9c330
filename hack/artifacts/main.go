// Command artifacts writes what `gateway-apiserver install` applies as plain YAML into a directory: a file for each way
// to store objects, and one for the GatewayClass, which kubectl can apply only once the server runs.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/install"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: artifacts DIRECTORY")
	}
	if err := write(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func write(dir string) error {
	embedded := install.Defaults()
	embedded.Etcd.Embedded, embedded.Etcd.Members = true, 3
	external := install.Defaults()
	external.Etcd.Endpoints = []string{"https://etcd-0.example.com:2379", "https://etcd-1.example.com:2379", "https://etcd-2.example.com:2379"}
	external.Etcd.Secret = "etcd-client"

	var class install.Object
	for _, file := range []struct {
		name, flags string
		options     install.Options
	}{
		{"embedded-etcd.yaml", "--etcd=embedded --etcd-replicas=3", embedded},
		{"external-etcd.yaml", "--etcd=URL,... --etcd-secret=etcd-client", external},
	} {
		if err := file.options.Validate(); err != nil {
			return fmt.Errorf("%s: %w", file.name, err)
		}
		objects := install.Objects(file.options)
		last := len(objects) - 1
		class = objects[last]
		if err := writeFile(dir, file.name, file.flags, objects[:last]); err != nil {
			return err
		}
	}
	return writeFile(dir, "gatewayclass.yaml", "", []install.Object{class})
}

func writeFile(dir, name, flags string, objects []install.Object) error {
	var out bytes.Buffer
	out.WriteString("# Written by hack/generate.sh.")
	if flags != "" {
		fmt.Fprintf(&out, " For other options: gateway-apiserver install %s --print.\n# When the APIServices are available, gatewayclass.yaml can be applied.", flags)
	}
	out.WriteString("\n")
	if err := install.Print(&out, objects); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), out.Bytes(), 0o644)
}
