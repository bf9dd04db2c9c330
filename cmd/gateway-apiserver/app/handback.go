package app

import (
	"github.com/spf13/cobra"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/takeover"
)

func newHandbackCommand() *cobra.Command {
	c := newMoveCommand()
	cmd := &cobra.Command{
		Use:   "handback --server=https://HOST:PORT",
		Short: "Move a cluster's Gateway API objects from the server back to the CRDs, and unregister it",
		Long: `Write every Gateway API object of gateway-apiserver into the CustomResourceDefinitions (CRDs), and then have these serve
the Gateway API again: the reverse of "gateway-apiserver takeover".

Objects that the CRDs have from before are made as the server has them, and those that the server no longer has are
deleted. What the CRDs don't allow is reported before anything changes for clients. Objects that are new in the CRDs get
another uid, age and generation, which only kube-apiserver can give: the annotation gateway-apiserver.dev/former-uid has
the uid that they had, and references of other objects to them as owners are changed. Conditions of other controllers
that observed the server's generation observe the new one; conditions of gateway-apiserver itself don't move, and neither
do EnvoyFleets, for which there is no CRD.

The server keeps its copies until it is uninstalled. Watches that are open there see no more changes; they end by
themselves after some minutes, or when it is uninstalled.

While objects move, the CRDs have one more version, takeover, by which they can be reached. Tools that apply the CRDs must
not do so meanwhile. The command can be stopped at any time, and run again.`,
		Example: `  kubectl -n gateway-apiserver port-forward service/gateway-apiserver 8443:443 &
  gateway-apiserver handback --server=https://127.0.0.1:8443`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.run(cmd, takeover.Handback)
		},
	}
	c.addFlags(cmd)
	cmd.Flags().Lookup("extra").Usage = "what to do with objects that only the CRDs have, unless they were deleted since a takeover"
	return cmd
}
