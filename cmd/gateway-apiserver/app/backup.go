package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/klog/v2"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd/snapshot"
)

// standardStream, as the name of a file, is the standard output or input.
const standardStream = "-"

// backupCommand are the flags of the backup command.
type backupCommand struct {
	etcd       etcdFlags
	outputFile string
}

func newBackupCommand() *cobra.Command {
	c := &backupCommand{}
	cmd := &cobra.Command{
		Use:   "backup --output-file FILE",
		Short: "Save what is stored to a file",
		Long: `Save what is stored to a file, for "gateway-apiserver restore" to read: a snapshot of the etcd that a server uses, with
all that was acknowledged before the command began. The flags that say which etcd are those of the server. It may run or
not: an embedded etcd that doesn't is started for as long as the backup takes.

The file is checked before it gets its name: its SHA-256, the consistency of the database in it, and that each object can be
read; what is in it is printed. A file that does not check out is an error, and is not left behind. It has mode 0600, as it
has Secrets in it, and of an etcd that others use, all that they have stored too. What is encrypted at rest is encrypted in
the file, and can only be used with the same --encryption-provider-config.

It is a snapshot like those of "etcdctl snapshot save", which "etcdutl snapshot" reads. The certificates of a standalone
server aren't in it. To have objects as YAML, which other releases and other servers can read, use "gateway-apiserver
export".`,
		Example: `  # Of a standalone server
  gateway-apiserver backup --data-dir .gateway-apiserver --output-file gateways.db

  # Of a server in a cluster, with etcd embedded: of any of its members
  kubectl -n gateway-apiserver exec gateway-apiserver-0 -- \
    gateway-apiserver backup --embedded-etcd /var/lib/gateway-apiserver/etcd --output-file - >gateways.db

  # Of a server in a cluster, with an etcd that it shares with others
  gateway-apiserver backup --etcd-servers=https://etcd-0:2379,https://etcd-1:2379 --etcd-cafile=ca.crt --etcd-certfile=tls.crt \
    --etcd-keyfile=tls.key --output-file gateways.db`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			discardLogs()
			if c.outputFile == "" {
				return errors.New("--output-file is required: a file to save to, or - for the standard output")
			}
			return c.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	c.etcd.add(cmd)
	cmd.Flags().StringVar(&c.outputFile, "output-file", "", "file to save to, whole or not at all, with mode 0600; or - for the standard output")
	return cmd
}

func (c *backupCommand) run(ctx context.Context, stdout, stderr io.Writer) error {
	if err := c.etcd.open(ctx); err != nil {
		return err
	}
	defer c.etcd.close()
	if c.outputFile == standardStream {
		dir, err := os.MkdirTemp("", "gateway-apiserver-backup-") // mode 0700
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		c.outputFile = filepath.Join(dir, "backup.db")
		file, err := c.save(ctx)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := copyFrom(c.outputFile, stdout); err != nil {
			return err
		}
		return describe(file, standardStream, c.etcd.prefix, stderr, stderr)
	}
	if info, err := os.Stat(c.outputFile); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("--output-file %s is not a file", c.outputFile)
	}
	file, err := c.save(ctx)
	if err != nil {
		return err
	}
	defer file.Close()
	return describe(file, c.outputFile, c.etcd.prefix, stdout, stderr)
}

func copyFrom(path string, to io.Writer) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(to, file)
	return err
}

// save asks one member after the other, until one gives what can be used.
func (c *backupCommand) save(ctx context.Context) (*snapshot.File, error) {
	var errs []error
	for _, endpoint := range c.etcd.transport.ServerList {
		transport := c.etcd.transport
		transport.ServerList = []string{endpoint}
		client, err := etcd.NewClient(transport)
		if err != nil {
			return nil, err
		}
		file, err := snapshot.Save(ctx, client, c.outputFile, c.etcd.prefix)
		if err == nil {
			return file, client.Close()
		}
		errs = append(errs, fmt.Errorf("%s: %w", endpoint, err), client.Close())
	}
	return nil, errors.New(oneLine(errors.Join(errs...)))
}

// etcdFlags say which etcd a server uses, by the flags of that server.
type etcdFlags struct {
	dataDir   string // of a standalone server
	embedded  string // directory of a member
	prefix    string
	transport storagebackend.TransportConfig

	ends []func()
}

func (f *etcdFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.dataDir, "data-dir", "", "data directory of a standalone server")
	flags.StringVar(&f.embedded, "embedded-etcd", "", "directory of a server's embedded etcd")
	flags.StringSliceVar(&f.transport.ServerList, "etcd-servers", nil, "URLs of the members of an etcd cluster, SCHEME://HOST:PORT, comma separated")
	flags.StringVar(&f.transport.TrustedCAFile, "etcd-cafile", "", "file of the CA that signs the certificates of --etcd-servers")
	flags.StringVar(&f.transport.CertFile, "etcd-certfile", "", "file of the certificate for --etcd-servers")
	flags.StringVar(&f.transport.KeyFile, "etcd-keyfile", "", "file of the key for --etcd-servers")
	flags.StringVar(&f.prefix, "etcd-prefix", storagePrefix, "prefix of all keys of the server in etcd")
	cmd.MarkFlagsMutuallyExclusive("data-dir", "embedded-etcd", "etcd-servers")
}

func (f *etcdFlags) validate() error {
	if f.dataDir == "" && f.embedded == "" && len(f.transport.ServerList) == 0 {
		return errors.New("say which etcd: give --data-dir, --embedded-etcd or --etcd-servers, as the server has it")
	}
	return nil
}

// discardLogs leaves out what etcd and its libraries log: it is in the error that comes of it, or nothing comes of it.
func discardLogs() {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
}

// open finds the endpoints of the etcd. An embedded one that doesn't run is started, until close is called.
func (f *etcdFlags) open(ctx context.Context) error {
	if err := f.validate(); err != nil {
		return err
	}
	switch {
	case f.dataDir != "":
		return f.openEmbedded(ctx, "--data-dir "+f.dataDir, filepath.Join(f.dataDir, "etcd"))
	case f.embedded != "":
		return f.openEmbedded(ctx, "--embedded-etcd "+f.embedded, f.embedded)
	}
	return nil
}

func (f *etcdFlags) openEmbedded(ctx context.Context, flag, dir string) error {
	if endpoint, running := etcd.EndpointOf(dir); running {
		f.transport.ServerList = []string{endpoint}
		return nil
	}
	if !etcd.HasData(dir) {
		return fmt.Errorf("%s: there is no etcd in it", flag)
	}
	if f.dataDir != "" { // nobody else may start it meanwhile
		data, err := openDataDir(f.dataDir)
		if err != nil {
			return err
		}
		f.ends = append(f.ends, data.close)
	}
	server, err := etcd.Start(ctx, dir)
	if err != nil {
		f.close()
		return err
	}
	f.ends = append(f.ends, server.Stop)
	f.transport.ServerList = []string{server.Endpoint()}
	return nil
}

// close ends what open has started.
func (f *etcdFlags) close() {
	for _, end := range slices.Backward(f.ends) {
		end()
	}
	f.ends = nil
}

// encryptedPrefix is how a value begins that k8s.io/apiserver has encrypted.
const encryptedPrefix = "k8s:enc:"

// describe prints what is in a snapshot: its objects by kind, those that are encrypted by resource. Objects that this release
// can't decode are no reason to do without a backup, as the server has them as they are too, but worth a warning.
func describe(file *snapshot.File, path, prefix string, stdout, stderr io.Writer) error {
	kinds, unreadable := map[string]int{}, 0
	var first error
	decoder := apis.Codecs.UniversalDeserializer()
	if err := file.Each(func(e snapshot.Entry) error {
		if strings.HasPrefix(string(e.Value), encryptedPrefix) {
			kinds[resourceOf(e.Key, prefix)+", encrypted"]++
			return nil
		}
		_, kind, err := decoder.Decode(e.Value, nil, nil)
		if err != nil {
			if unreadable++; first == nil {
				first = fmt.Errorf("%s: %w", e.Key, err)
			}
			kinds["unreadable"]++
			return nil
		}
		kinds[kind.Kind]++
		return nil
	}); err != nil {
		return err
	}
	if unreadable > 0 {
		fmt.Fprintf(stderr, "warning: this release can't decode %d objects, the first of which is %s\n", unreadable, oneLine(first))
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "file:\t%s\nsize:\t%d bytes\nSHA-256:\t%s\nhash:\t%x\nrevision:\t%d\nobjects:\t%d\n", path, file.Size, file.SHA256, file.Hash, file.Revision, file.Objects)
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		fmt.Fprintf(w, "  %s\t%d\n", kind, kinds[kind])
	}
	if file.Others > 0 {
		fmt.Fprintf(w, "keys of others:\t%d\n", file.Others)
	}
	return w.Flush()
}

// resourceOf is what an object is stored under: RESOURCE, or RESOURCE.GROUP.
func resourceOf(key, prefix string) string {
	parts := strings.Split(strings.TrimPrefix(key, prefix+"/"), "/")
	if len(parts) > 2 && strings.Contains(parts[0], ".") {
		return parts[1] + "." + parts[0]
	}
	return parts[0]
}
