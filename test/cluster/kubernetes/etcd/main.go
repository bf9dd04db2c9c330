// Command etcd is the real etcd, built from its Go module: etcd/server/main.go, whose package would be built as "server".
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
