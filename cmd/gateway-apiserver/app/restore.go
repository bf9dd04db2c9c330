package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/election"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd/snapshot"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

// restoreCommand are the flags of the restore command.
type restoreCommand struct {
	etcd    etcdFlags
	from    string
	replace bool
}

func newRestoreCommand() *cobra.Command {
	c := &restoreCommand{}
	cmd := &cobra.Command{
		Use:   "restore --from FILE",
		Short: "Restore a backup",
		Long: `Restore what "gateway-apiserver backup" has saved, or any other snapshot of a server's etcd, from either kind of etcd into
either kind. The file is checked first, as backup does it: from one that is damaged, cut off or foreign, nothing is
written. Restored are the objects of gateway-apiserver, as they were stored, with their uids, statuses and managers, and
nothing else. What was encrypted at rest stays encrypted: the server needs the same --encryption-provider-config.

With --data-dir or --embedded-etcd, etcd's directory must be new or empty: move away the one that there is. The
certificates in the data directory of a standalone server may stay. Resource versions go on a billion higher, so that
clients that have seen later ones than those of the backup notice, and list anew.

The members of an embedded cluster of three are all stopped; the backup is restored into the directory of one of them, and
those of the two others are emptied. When they are started again, these join the first. A member that kept its directory has
the data of another cluster, and doesn't start beside it.

With --etcd-servers, no server may be running on that etcd. There must be no objects in it, or --replace says that they are to be
replaced, and deleted if the backup doesn't have them. What others have stored there is left alone. If the etcd is
younger than the backup, resource versions go back: restart the controllers and informers that watch.

Events with a time to live are not restored into --etcd-servers. Namespaces, Services and other kinds that the server of
a cluster leaves to kube-apiserver, as a backup of a standalone server has them, are only restored into --data-dir.

A restore that was stopped in the middle is completed by running it again. Until it is, no server starts on that etcd.`,
		Example: `  # A standalone server
  gateway-apiserver restore --from gateways.db --data-dir restored
  gateway-apiserver standalone --data-dir restored

  # The first member of an embedded cluster, while none runs
  gateway-apiserver restore --from gateways.db --embedded-etcd /var/lib/gateway-apiserver/etcd

  # An etcd that is running, with what it has of gateway-apiserver replaced
  kubectl -n gateway-apiserver scale deployment gateway-apiserver --replicas=0
  gateway-apiserver restore --from gateways.db --etcd-servers=https://etcd-0:2379 --etcd-cafile=ca.crt --etcd-certfile=tls.crt \
    --etcd-keyfile=tls.key --replace`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			discardLogs()
			if c.from == "" {
				return errors.New("--from is required: the file of a backup, or - for the standard input")
			}
			if c.replace && len(c.etcd.transport.ServerList) == 0 {
				return errors.New("--replace is for --etcd-servers: a directory must be new or empty, so move away the one that there is")
			}
			return c.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	c.etcd.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&c.from, "from", "", "file of the backup, or - for the standard input")
	flags.BoolVar(&c.replace, "replace", false, "replace the objects that there are in --etcd-servers, and delete those that the backup doesn't have")
	return cmd
}

func (c *restoreCommand) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	if err := c.etcd.validate(); err != nil {
		return err
	}
	path := c.from
	if c.from == standardStream {
		dir, err := os.MkdirTemp("", "gateway-apiserver-restore-") // mode 0700
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		path = filepath.Join(dir, "standard-input")
		if err := writeWhole(path, func(w io.Writer) error {
			_, err := io.Copy(w, stdin)
			return err
		}); err != nil {
			return err
		}
	}
	file, err := snapshot.Open(path, c.etcd.prefix)
	if err != nil {
		return fmt.Errorf("--from: %s", oneLine(err))
	}
	defer file.Close()
	done, err := c.restore(ctx, file)
	if err != nil {
		return errors.New(oneLine(err))
	}
	if err := describe(file, c.from, c.etcd.prefix, stdout, stderr); err != nil {
		return err
	}
	if done.LeftOut > 0 {
		fmt.Fprintf(stderr, "left out: %d objects of kinds that the server of a cluster leaves to kube-apiserver\n", done.LeftOut)
	}
	if done.Leased > 0 {
		fmt.Fprintf(stderr, "left out: %d objects with a time to live\n", done.Leased)
	}
	if done.Revision < file.Revision {
		fmt.Fprintf(stderr, "warning: resource versions go back, from %d to %d: restart the controllers and informers that watch\n", file.Revision, done.Revision)
	}
	_, err = fmt.Fprintf(stdout, "restored %d objects, deleted %d\n", done.Written, done.Deleted)
	return err
}

func (c *restoreCommand) restore(ctx context.Context, file *snapshot.File) (snapshot.Restored, error) {
	switch {
	case c.etcd.dataDir != "":
		return c.restoreStandalone(file)
	case c.etcd.embedded != "":
		return restoreDirectory(file, "--embedded-etcd", c.etcd.embedded, coreKeys(c.etcd.prefix))
	}
	done, err := c.restoreKeys(ctx, file)
	if err != nil {
		return done, fmt.Errorf("--etcd-servers %s: %w", strings.Join(c.etcd.transport.ServerList, ","), err)
	}
	return done, nil
}

// restoreStandalone takes the data directory first, as a server does that starts on it.
func (c *restoreCommand) restoreStandalone(file *snapshot.File) (snapshot.Restored, error) {
	data, err := openDataDir(c.etcd.dataDir)
	if err != nil {
		return snapshot.Restored{}, err
	}
	defer data.close()
	return restoreDirectory(file, "--data-dir", data.in("etcd"), nil)
}

func restoreDirectory(file *snapshot.File, flag, dir string, leaveOut func(key string) bool) (done snapshot.Restored, err error) {
	if err := etcd.Restore(dir, func(path, name, peerURL string) (err error) {
		done, err = file.RestoreDirectory(path, name, peerURL, leaveOut)
		return err
	}); err != nil {
		return done, fmt.Errorf("%s: %w", flag, err)
	}
	return done, nil
}

func (c *restoreCommand) restoreKeys(ctx context.Context, file *snapshot.File) (snapshot.Restored, error) {
	client, err := etcd.NewClient(c.etcd.transport)
	if err != nil {
		return snapshot.Restored{}, err
	}
	defer client.Close()
	return file.RestoreKeys(ctx, snapshot.Target{
		Client: client, Prefix: c.etcd.prefix, Running: election.Prefix(c.etcd.prefix), Replace: c.replace, LeaveOut: coreKeys(c.etcd.prefix),
	})
}

// coreKeys says which keys below a prefix are of kinds that only a standalone server stores.
func coreKeys(prefix string) func(key string) bool {
	var roots []string
	for _, kind := range registry.CoreKinds() {
		root := prefix + "/"
		if group := kind.GroupKind().Group; group != "" {
			root += group + "/"
		}
		roots = append(roots, root+kind.Stored().Resource+"/")
	}
	return func(key string) bool {
		return slices.ContainsFunc(roots, func(root string) bool { return strings.HasPrefix(key, root) })
	}
}
