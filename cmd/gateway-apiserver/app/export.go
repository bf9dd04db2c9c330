package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/durable"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/status"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/transfer"
)

// exportCommand are the flags of the export command.
type exportCommand struct {
	server        kubeconfigFlags
	allNamespaces bool
	core          bool
	outputFile    string
	options       transfer.ExportOptions
}

func newExportCommand() *cobra.Command {
	c := &exportCommand{}
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write every object of a server as YAML",
		Long: `Write every object of a server as YAML, for "gateway-apiserver import" or kubectl to read: the kinds of the Gateway API,
EnvoyFleets and, from a standalone server, the Namespaces, ConfigMaps, Secrets, Services and EndpointSlices that it
stores too. It can be any server with the Gateway API, also a cluster with the CRDs of another implementation. Objects
are written in the version that the server prefers, which is v1 where there is one, each once, in an order in which they
can be made.

Secrets are written as they are stored, with private keys in plain text.

What only the server that has an object can say of it is left out: uid, resourceVersion, generation, the time of its
creation, the uids of its owners, and the status that gateway-apiserver renders, as the server that imports the object
renders it anew. The status of other controllers is kept. Events and objects that are being deleted are left out. The
objects of a kind are as they were at one moment, but those of different kinds are not, if somebody writes meanwhile.`,
		Example: `  # Everything, into a file that only its owner can read
  gateway-apiserver export --output-file backup.yaml

  # In other versions than the preferred ones
  gateway-apiserver export --version-of httproute=v1beta1 --version-of referencegrant=v1beta1

  # To another server
  gateway-apiserver export --context old | gateway-apiserver import --context new -f -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !c.allNamespaces {
				return errors.New("--all-namespaces=false: use --namespace to export only one")
			}
			if cmd.Flags().Changed("core") {
				c.options.Core = &c.core
			}
			c.options.Namespace = c.server.namespace
			c.options.Controller = statusWriter()
			return c.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	c.server.add(flags, "export only what is in this namespace, and the namespace itself")
	flags.BoolVarP(&c.allNamespaces, "all-namespaces", "A", true, "export what is in all namespaces")
	flags.StringToStringVar(&c.options.Versions, "version-of", nil, "the version to export a kind in, as `KIND=VERSION`, for example httproute=v1beta1; may be repeated")
	flags.BoolVar(&c.core, "core", false, "export also Namespaces, ConfigMaps, Secrets, Services and EndpointSlices (default: unless the server is a cluster)")
	flags.BoolVar(&c.options.Secrets, "secrets", true, "export Secrets too, if these kinds are exported")
	flags.BoolVar(&c.options.ManagedFields, "managed-fields", true, "export which manager owns which field")
	flags.StringVar(&c.outputFile, "output-file", "", "file to write instead of the standard output, whole or not at all, with mode 0600")
	flags.Lookup("version-of").DefValue = "" // not []
	cmd.MarkFlagsMutuallyExclusive("namespace", "all-namespaces")
	return cmd
}

func (c *exportCommand) run(ctx context.Context, stdout, stderr io.Writer) error {
	config, _, err := c.server.load("export")
	if err != nil {
		return err
	}
	var done transfer.Exported
	write := func(w io.Writer) (err error) {
		done, err = transfer.Export(ctx, config, c.options, w)
		return err
	}
	if c.outputFile != "" {
		err = writeWhole(c.outputFile, write)
	} else {
		err = write(stdout)
	}
	if err != nil {
		return err
	}
	for _, object := range done.Leaving {
		fmt.Fprintf(stderr, "left out: %s is being deleted\n", object)
	}
	if done.Secrets > 0 {
		fmt.Fprintf(stderr, "exported %d objects; the Secrets among them (%d) are in plain text\n", done.Objects, done.Secrets)
	}
	return nil
}

// statusWriter tells transfers which part of an object's status a server renders anew.
func statusWriter() transfer.Controller {
	return transfer.Controller{Name: string(graph.ControllerName), Conditions: status.ConditionTypes()}
}

// writeWhole makes a file that only its owner can read, once its content is complete.
func writeWhole(path string, write func(io.Writer) error) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() { // a pipe or a device
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return durable.SyncDirs(filepath.Dir(path))
}
