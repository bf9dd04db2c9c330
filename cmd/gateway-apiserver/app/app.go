// Package app is the command line: one file for each command. Its one invariant: whatever goes wrong is reported as
// one line on standard error, and the exit code is 1.
package app

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Run executes the command line and returns the exit code.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := NewCommand()
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	if err := cmd.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(stderr, "error: %v\n", err)
		return 1
	}
	return 0
}

// NewCommand makes the root command.
func NewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gateway-apiserver",
		Short: "A Kubernetes API server for the Gateway API that feeds Envoy fleets",
		Long: `gateway-apiserver serves the Gateway API (gateway.networking.k8s.io) from its own etcd, answers every write with
the object's true status, and feeds Envoy fleets from a built-in xDS server.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(newStandaloneCommand(), newServeCommand(), newInstallCommand(), newUninstallCommand(), newDoctorCommand(), newTakeoverCommand(), newHandbackCommand(), newBootstrapCommand(), newXDSCommand(), newXDSCertCommand(), newFleetCommand(), newExportCommand(), newImportCommand(), newBackupCommand(), newRestoreCommand(), newVersionCommand())
	return cmd
}
