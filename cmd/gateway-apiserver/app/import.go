package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/transfer"
)

// importCommand are the flags of the import command.
type importCommand struct {
	server     kubeconfigFlags
	files      []string
	onConflict choiceFlag
	dryRun     choiceFlag
}

func newImportCommand() *cobra.Command {
	c := &importCommand{
		onConflict: choiceFlag{value: string(transfer.Fail), choices: []string{string(transfer.Fail), string(transfer.Skip), string(transfer.Replace)}},
		dryRun:     choiceFlag{value: "none", choices: []string{"none", "server"}},
	}
	cmd := &cobra.Command{
		Use:   "import -f FILE",
		Short: "Make the objects of an export on a server",
		Long: `Make the objects that "gateway-apiserver export" has written, or that any other YAML or JSON describes, on a server, and
say of each what became of it: created, updated, unchanged, skipped or failed. A failure doesn't stop the others; the
exit code is 1 if there was one. Files that cannot be read are refused before anything is written.

Objects are made in the order that they need, whatever their order in the files. The status that other controllers have
written is written too, and so is which manager owns which field; an object without managedFields belongs to the
manager ` + transfer.FieldManager + `. References to owners are given the owners' new uids; a reference to an owner that isn't
there is left out, and reported.

An object that is there already is left as it is. If it is different, that is a failure, unless --on-conflict says to skip
or to replace it. What is replaced is then as the file says, with what others have added to it gone, but for status that the
file doesn't mention.`,
		Example: `  # Everything in a file, or in the files of a directory
  gateway-apiserver import -f backup.yaml

  # See what would happen
  gateway-apiserver import -f backup.yaml --dry-run=server

  # Put back what was changed since
  gateway-apiserver import -f backup.yaml --on-conflict=replace`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVarP(&c.files, "filename", "f", nil, "file or directory to import, or - for the standard input; may be repeated")
	c.server.add(flags, "namespace of the objects that name none; by default that of the context")
	flags.Var(&c.onConflict, "on-conflict", "what to do with objects that are there already, and different")
	flags.Var(&c.dryRun, "dry-run", "with \"server\", have the server try everything and write nothing")
	flags.Lookup("dry-run").NoOptDefVal = "server"
	return cmd
}

func (c *importCommand) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(c.files) == 0 {
		return errors.New("-f is required: a file or a directory to import, or - for the standard input")
	}
	documents, err := transfer.Read(c.files, stdin)
	if err != nil {
		return fmt.Errorf("nothing was imported: %s", oneLine(err))
	}
	if len(documents) == 0 {
		return errors.New("there are no objects to import")
	}
	config, namespace, err := c.server.load("import")
	if err != nil {
		return err
	}
	dryRun := c.dryRun.value == "server"
	suffix := ""
	if dryRun {
		suffix = " (server dry run)"
	}
	failed := 0
	err = transfer.Import(ctx, config, documents, transfer.ImportOptions{
		Controller: statusWriter(), Namespace: namespace, OnConflict: transfer.Conflict(c.onConflict.value), DryRun: dryRun,
	}, func(r transfer.Result) {
		for _, note := range r.Notes {
			fmt.Fprintf(stderr, "warning: %s: %s\n", r.Object, note)
		}
		if r.Err != nil {
			failed++
			fmt.Fprintf(stdout, "%s %s%s: %s\n", r.Object, r.Action, suffix, oneLine(r.Err))
			return
		}
		fmt.Fprintf(stdout, "%s %s%s\n", r.Object, r.Action, suffix)
	})
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d of %d objects failed", failed, len(documents))
	}
	return err
}

// oneLine is the message of an error without its line breaks.
func oneLine(err error) string { return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ") }
