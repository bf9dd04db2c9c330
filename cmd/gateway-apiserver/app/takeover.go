package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/install"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/selfsigned"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/takeover"
)

// moveCommand are the flags of the takeover and the handback command.
type moveCommand struct {
	cluster       kubeconfigFlags
	server        string
	caFile        string
	tlsServerName string
	conflict      choiceFlag
	extra         choiceFlag
	dryRun        choiceFlag
	options       takeover.Options
}

func newTakeoverCommand() *cobra.Command {
	c := newMoveCommand()
	cmd := &cobra.Command{
		Use:   "takeover --server=https://HOST:PORT",
		Short: "Move a cluster's Gateway API objects from the CRDs to the server, and register it",
		Long: `Move every Gateway API object of a cluster from the CustomResourceDefinitions (CRDs) to gateway-apiserver, and then
register it in place of them: install it before with --register=false.

Objects are the same afterwards: with their uids, ages, generations, labels, annotations, finalizers, owner references,
managers of fields, and what other controllers have written in status. They are compared one by one before the APIServices
change, and clients can write all the while: what they write until then is moved too. Each object then has an annotation
gateway-apiserver.dev/takeover with the uid and the resource version of what it was made from.

The objects of the CRDs stay as they were. Nobody sees them while the server is registered; "gateway-apiserver uninstall"
makes them visible again, as they were, and "gateway-apiserver handback" makes them as the server has them first.

While objects move, the CRDs have one more version, takeover, by which they can be reached. Tools that apply the CRDs must
not do so meanwhile. The command can be stopped at any time, and run again.

The server is asked directly, with the credentials of the kubeconfig, which must be an administrator's.`,
		Example: `  gateway-apiserver install --etcd=embedded --register=false
  kubectl -n gateway-apiserver port-forward service/gateway-apiserver 8443:443 &

  # See what would happen
  gateway-apiserver takeover --server=https://127.0.0.1:8443 --dry-run

  gateway-apiserver takeover --server=https://127.0.0.1:8443`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.run(cmd, takeover.Takeover)
		},
	}
	c.addFlags(cmd)
	cmd.Flags().BoolVar(&c.options.SkipUnserved, "skip-unserved", false, "leave objects behind, where nobody sees them, whose kind or version the server doesn't have")
	cmd.Flags().Lookup("extra").Usage = "what to do with objects that only the server has, and that were not moved there"
	return cmd
}

func newMoveCommand() *moveCommand {
	return &moveCommand{
		conflict: choiceFlag{value: string(takeover.Fail), choices: []string{string(takeover.Fail), string(takeover.UseCRDs), string(takeover.UseServer)}},
		extra:    choiceFlag{value: string(takeover.RefuseExtra), choices: []string{string(takeover.RefuseExtra), string(takeover.KeepExtra), string(takeover.DeleteExtra)}},
		dryRun:   choiceFlag{value: "none", choices: []string{"none", "server"}},
	}
}

func (c *moveCommand) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	c.cluster.add(flags, "namespace of the server (default \""+install.Name+"\")")
	flags.StringVar(&c.server, "server", "", "where to reach the server directly, https://HOST:PORT")
	flags.StringVar(&c.caFile, "certificate-authority", "", "file with the certificate authorities of the server's certificate; by default those of its Secret "+selfsigned.DefaultSecret)
	flags.StringVar(&c.tlsServerName, "tls-server-name", "", "name in the server's certificate (default \""+install.Name+".NAMESPACE.svc\")")
	flags.Var(&c.conflict, "on-conflict", "which side is right about objects that were changed on both, or on the side that is to follow")
	flags.Var(&c.extra, "extra", "")
	flags.DurationVar(&c.options.Settle, "settle", time.Minute, "how long nothing may have been written to the old side before it is left; a request to kube-apiserver can take a minute")
	flags.DurationVar(&c.options.Timeout, "timeout", 2*time.Minute, "how long to wait for kube-apiserver to serve a version or an APIService")
	flags.Var(&c.dryRun, "dry-run", "with \"server\", have the servers try everything and write nothing")
	flags.Lookup("dry-run").NoOptDefVal = "server"
}

// run moves objects.
func (c *moveCommand) run(cmd *cobra.Command, move func(context.Context, takeover.Options) error) error {
	ctx := cmd.Context()
	o := c.options
	if o.Namespace = c.cluster.namespace; o.Namespace == "" {
		o.Namespace = install.Name
	}
	if u, err := url.Parse(c.server); err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return fmt.Errorf("--server=%s: want https://HOST:PORT, for example https://127.0.0.1:8443 with \"kubectl -n %s port-forward service/%s 8443:443\"", c.server, o.Namespace, install.Name)
	}
	var err error
	if o.Kube, _, err = c.cluster.load(cmd.Name()); err != nil {
		return err
	}
	if o.Server, err = c.direct(ctx, o.Kube, o.Namespace); err != nil {
		return err
	}
	o.CABundle = o.Server.CAData
	o.Controller = statusWriter()
	o.Conflict, o.Extra = takeover.Conflict(c.conflict.value), takeover.Extra(c.extra.value)
	o.DryRun = c.dryRun.value == "server"
	o.Print = func(line string) { fmt.Fprintln(cmd.OutOrStdout(), line) }
	return move(ctx, o)
}

// direct returns how to reach the server itself, with the credentials for kube-apiserver.
func (c *moveCommand) direct(ctx context.Context, kube *rest.Config, namespace string) (*rest.Config, error) {
	config := rest.CopyConfig(kube)
	config.Host, config.APIPath = c.server, ""
	config.TLSClientConfig.Insecure = false
	config.TLSClientConfig.CAFile, config.TLSClientConfig.CAData = "", nil
	config.TLSClientConfig.ServerName = c.tlsServerName
	if c.tlsServerName == "" {
		config.TLSClientConfig.ServerName = install.Name + "." + namespace + ".svc"
	}
	if c.caFile != "" {
		data, err := os.ReadFile(c.caFile)
		if err != nil {
			return nil, fmt.Errorf("--certificate-authority: %w", err)
		}
		config.TLSClientConfig.CAData = data
		return config, nil
	}
	client, err := kubernetes.NewForConfig(kube)
	if err != nil {
		return nil, err
	}
	secret, err := client.CoreV1().Secrets(namespace).Get(ctx, selfsigned.DefaultSecret, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority of the server, which --certificate-authority can name: %w", err)
	}
	config.TLSClientConfig.CAData = secret.Data[corev1.ServiceAccountRootCAKey]
	if len(config.TLSClientConfig.CAData) == 0 {
		return nil, errors.New("the Secret " + namespace + "/" + selfsigned.DefaultSecret + " has no " + corev1.ServiceAccountRootCAKey + ": name the server's certificate authority with --certificate-authority")
	}
	return config, nil
}
