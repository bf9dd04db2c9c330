// Command kubectl is the real kubectl, built from its Go module at the version that go.mod pins, so that the feature
// tests drive the same kubectl everywhere and need none on the machine. It is kubernetes/cmd/kubectl/kubectl.go.
//
// Without a version stamp it calls itself v0.0.0-master; build it as
//
//	go build -ldflags "-X k8s.io/component-base/version.gitVersion=v1.37.2" .
package main

import (
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}
