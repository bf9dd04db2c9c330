package app

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/install"
)

func newUninstallCommand() *cobra.Command {
	var server kubeconfigFlags
	options := install.UninstallOptions{Namespace: install.Name}
	dryRun := choiceFlag{value: "none", choices: []string{"none", "server"}}
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove the server from a Kubernetes cluster",
		Long: `Delete what "gateway-apiserver install" has made, and say of each object what became of it. First the APIServices go, so
that CustomResourceDefinitions of the Gateway API, where there are any, are served again. Nothing else is deleted than what
install has labelled as its own, and uninstalling again is fine.

While people's objects are stored in the server, this is refused: "gateway-apiserver handback" writes them back into
CustomResourceDefinitions, and "gateway-apiserver export" into a file.

What is stored stays stored: an etcd cluster is not touched, and the volumes of an embedded etcd are kept, with the CAs and
the Namespace, so that another install goes on with all objects. With --purge, they are deleted too.`,
		Example: `  # See what would be deleted
  gateway-apiserver uninstall --dry-run

  # Delete everything, the volumes of an embedded etcd included
  gateway-apiserver uninstall --purge`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if server.namespace != "" {
				options.Namespace = server.namespace
			}
			options.DryRun = dryRun.value == "server"
			client, err := server.dynamic("uninstall")
			if err != nil {
				return err
			}
			done := 0
			report := resultWriter(cmd.OutOrStdout(), options.DryRun)
			err = install.Uninstall(cmd.Context(), client, options, func(r install.Result) {
				done++
				report(r)
			})
			if err == nil && done == 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "nothing was installed in the namespace %s\n", options.Namespace)
			}
			return err
		},
	}
	flags := cmd.Flags()
	server.add(flags, "namespace of the server (default \""+options.Namespace+"\")")
	flags.BoolVar(&options.DiscardObjects, "discard-objects", false, "uninstall although objects are stored in the server, or although it cannot be asked")
	flags.BoolVar(&options.Purge, "purge", false, "also delete the Namespace, the CAs, and the volumes of an embedded etcd with all objects")
	flags.Var(&dryRun, "dry-run", "with \"server\", have kube-apiserver try everything and delete nothing")
	flags.Lookup("dry-run").NoOptDefVal = "server"
	return cmd
}
