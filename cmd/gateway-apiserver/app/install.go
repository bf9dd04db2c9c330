package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/dynamic"
	"k8s.io/component-base/version"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/install"
)

// embedded is the value of --etcd for an etcd of our own.
const embedded = "embedded"

// installCommand are the flags of the install command.
type installCommand struct {
	server      kubeconfigFlags
	options     install.Options
	etcd        string
	storageSize string
	channel     choiceFlag
	print       bool
	dryRun      choiceFlag
	hideObjects bool
	timeout     time.Duration
}

func newInstallCommand() *cobra.Command {
	c := &installCommand{
		options: install.Defaults(),
		channel: newChannelFlag(),
		dryRun:  choiceFlag{value: "none", choices: []string{"none", "server"}},
	}
	c.options.Image = install.DefaultImage + ":" + imageTag(version.Get().GitVersion)
	cmd := &cobra.Command{
		Use:   "install --etcd=embedded|URL,...",
		Short: "Install the server in a Kubernetes cluster, or print what that takes",
		Long: `Make all that the server takes in a cluster, and say of each object what became of it: created, configured, unchanged or
kept. Installing again changes what is different, so this is also how to upgrade. Objects of the same names that somebody
else has made are refused; a Namespace or GatewayClass that is there already is kept as it is.

Objects of the Gateway API are stored in an etcd cluster that is there, by its URLs, or in one of the server's own
("embedded"), in the volumes of a StatefulSet with 1 or 3 replicas.

The server is registered last, by APIServices for all versions of the Gateway API. They take precedence over
CustomResourceDefinitions, which may stay; but as they hide the objects that those hold, that is refused if there are any:
"gateway-apiserver takeover" moves them. The GatewayClass ` + install.Name + ` follows when the server is available.

xDS is at port 18000 of the Service ` + install.XDSService + `, with TLS: an Envoy shows the token of a ServiceAccount for the audience gateway-apiserver.dev/xds, which
may get gateways/xds (gateway.networking.k8s.io) of the name of its Gateway, or envoyfleets/xds (gateway-apiserver.dev).

The server may read Secrets and ConfigMaps of all namespaces, and only reads those that Gateways and policies refer to.
With --secret-namespaces, it may read those of these namespaces only. Kinds that an admission policy takes as parameters
(spec.paramKind) are for whoever writes that policy to allow: bind a role that lists and watches them to the ServiceAccount.
The cluster's roles view, edit and admin are extended: view reads everything, edit writes all but Gateways, admin those too.`,
		Example: `  # With an etcd of its own, of three members
  gateway-apiserver install --etcd=embedded --etcd-replicas=3

  # With an etcd cluster, and its certificates in a Secret with ca.crt, tls.crt and tls.key
  kubectl create namespace gateway-apiserver
  kubectl create secret generic etcd-client -n gateway-apiserver --from-file=ca.crt --from-file=tls.crt --from-file=tls.key
  gateway-apiserver install --etcd=https://etcd-0.example.com:2379,https://etcd-1.example.com:2379 --etcd-secret=etcd-client

  # See everything as YAML
  gateway-apiserver install --etcd=embedded --print`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.complete(cmd.Flags().Changed); err != nil {
				return err
			}
			if c.print {
				return install.Print(cmd.OutOrStdout(), install.Objects(c.options))
			}
			return c.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o := &c.options
	flags := cmd.Flags()
	c.server.add(flags, "namespace of the server, made if it is missing (default \""+o.Namespace+"\")")
	flags.StringVar(&c.etcd, "etcd", "", "where objects are stored: \"embedded\", or the URLs of an etcd cluster, separated by commas")
	flags.StringVar(&o.Etcd.Secret, "etcd-secret", "", "Secret in the namespace with ca.crt, tls.crt and tls.key, for TLS to an etcd cluster")
	flags.Int32Var(&o.Etcd.Members, "etcd-replicas", o.Etcd.Members, "members of an embedded etcd, each of which is a replica of the server: 1 or 3")
	flags.StringVar(&c.storageSize, "storage-size", o.Etcd.StorageSize.String(), "size of the volume of each member of an embedded etcd")
	flags.StringVar(&o.Etcd.StorageClass, "storage-class", "", "StorageClass of these volumes; by default that of the cluster")
	flags.Int32Var(&o.Replicas, "replicas", o.Replicas, "replicas of the server, with an etcd cluster")
	flags.StringVar(&o.Image, "image", o.Image, "image of the server")
	flags.Var(&c.channel, "channel", channelUsage)
	flags.StringSliceVar(&o.SecretNamespaces, "secret-namespaces", nil, "the only namespaces whose Secrets and ConfigMaps the server may read, separated by commas; by default all")
	flags.BoolVar(&o.Provisioning, "provisioning", false, "have the server run Envoys for the Gateways whose EnvoyFleet has spec.provisioning: it may then write Deployments, Services, ServiceAccounts, Roles and RoleBindings, ConfigMaps and PodDisruptionBudgets in all namespaces")
	flags.Int32Var(&o.ServicePort, "service-port", o.ServicePort, "port of the Service, where kube-apiserver reaches the server")
	flags.Int32Var(&o.SecurePort, "secure-port", o.SecurePort, "port of the pods, for firewalls that let kube-apiserver reach only some")
	flags.BoolVar(&o.HostNetwork, "host-network", false, "run the pods on the network of their nodes, where --secure-port must be free, for kube-apiservers that reach no pods; port 18000, of xDS, must be free too")
	flags.BoolVar(&o.Register, "register", true, "make the APIServices, and the GatewayClass; \"gateway-apiserver takeover\" makes them later")
	flags.BoolVar(&c.hideObjects, "hide-objects", false, "make the APIServices although they hide objects that are stored by CustomResourceDefinitions")
	flags.DurationVar(&c.timeout, "timeout", 5*time.Minute, "how long to wait for the server to be available, before the GatewayClass is made")
	flags.BoolVar(&c.print, "print", false, "print everything as YAML, in the order in which to make it, and ask no server")
	flags.Var(&c.dryRun, "dry-run", "with \"server\", have kube-apiserver try everything and write nothing")
	flags.Lookup("dry-run").NoOptDefVal = "server"
	cmd.MarkFlagsMutuallyExclusive("print", "dry-run")
	return cmd
}

// release is the version of a release, in the version of the binary: v1.37.2+v0.1.0, for example.
var release = regexp.MustCompile(`\+(v\d+\.\d+\.\d+)$`)

// imageTag is the tag of the image that was built from what this binary was built from.
func imageTag(gitVersion string) string {
	if found := release.FindStringSubmatch(gitVersion); found != nil {
		return found[1]
	}
	return "latest"
}

// complete fills in what follows from flags, and checks them.
func (c *installCommand) complete(changed func(flag string) bool) error {
	o := &c.options
	if c.server.namespace != "" {
		o.Namespace = c.server.namespace
	}
	o.Channel = crd.Channel(c.channel.value)
	size, err := resource.ParseQuantity(c.storageSize)
	if err != nil {
		return fmt.Errorf("--storage-size=%s: want a size such as 8Gi", c.storageSize)
	}
	o.Etcd.StorageSize = size
	other, kind := []string{"etcd-replicas", "storage-size", "storage-class"}, "an embedded etcd: use --etcd=embedded"
	if o.Etcd.Embedded = c.etcd == embedded; o.Etcd.Embedded {
		other, kind = []string{"etcd-secret", "replicas"}, "an etcd cluster: --etcd=embedded has --etcd-replicas"
	} else if c.etcd != "" {
		o.Etcd.Endpoints = strings.Split(c.etcd, ",")
	}
	for _, flag := range other {
		if changed(flag) && c.etcd != "" {
			return fmt.Errorf("--%s is only for %s", flag, kind)
		}
	}
	if c.hideObjects && !o.Register {
		return errors.New("--hide-objects is about the APIServices, which --register=false doesn't make")
	}
	return o.Validate()
}

func (c *installCommand) run(ctx context.Context, stdout, stderr io.Writer) error {
	client, err := c.server.dynamic("install")
	if err != nil {
		return err
	}
	dryRun := c.dryRun.value == "server"
	err = install.Apply(ctx, client, c.options, install.ApplyOptions{
		HideObjects: c.hideObjects, DryRun: dryRun, Timeout: c.timeout,
		Waiting: func() {
			fmt.Fprintf(stderr, "waiting up to %v for the server to be available\n", c.timeout)
		},
	}, resultWriter(stdout, dryRun))
	if err == nil && !c.options.Register {
		fmt.Fprintln(stderr, "the server is not registered: \"gateway-apiserver takeover\" moves the objects of CustomResourceDefinitions and registers it")
	}
	return err
}

// dynamic returns a client for any kind.
func (f *kubeconfigFlags) dynamic(command string) (dynamic.Interface, error) {
	config, _, err := f.load(command)
	if err != nil {
		return nil, err
	}
	return dynamic.NewForConfig(config)
}

// resultWriter writes a line for each object.
func resultWriter(w io.Writer, dryRun bool) func(install.Result) {
	suffix := ""
	if dryRun {
		suffix = " (server dry run)"
	}
	return func(r install.Result) {
		fmt.Fprintf(w, "%s %s%s", r.Object, r.Action, suffix)
		if r.Note != "" {
			fmt.Fprintf(w, ": %s", r.Note)
		}
		fmt.Fprintln(w)
	}
}
