//go:build linux

// Command containerinit is what package node starts containers with, and processes in containers. It is not for users.
package main

import (
	"fmt"
	"os"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster/node/internal/container"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = container.SetupFailed
	}
	os.Exit(code)
}

func run(args []string) (int, error) {
	if len(args) == 1 {
		switch args[0] {
		case "run":
			return 0, container.Run()
		case "exec":
			return container.Exec()
		}
	}
	return 0, fmt.Errorf("usage: %s run|exec", os.Args[0])
}
