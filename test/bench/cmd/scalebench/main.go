// Command scalebench measures what a gateway-apiserver promises to a large fleet, and prints a table: see package scale.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/gateway-apiserver/gateway-apiserver/test/bench/crowd"
	"github.com/gateway-apiserver/gateway-apiserver/test/bench/report"
	"github.com/gateway-apiserver/gateway-apiserver/test/bench/scale"
	"github.com/gateway-apiserver/gateway-apiserver/test/bench/usage"
)

func main() {
	crowd.Main()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("scalebench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	b := &scale.Bench{Sizes: scale.Full(), Log: slog.New(slog.NewTextHandler(stderr, nil))}
	flags.StringVar(&b.Binary, "server", "bin/gateway-apiserver", "the server's binary")
	flags.StringVar(&b.Dir, "dir", os.TempDir(), "`directory` for data, on the disk that is to be measured")
	names := flags.String("scenarios", "", "only scenarios whose name matches this `regexp`")
	small := flags.Bool("small", false, "small numbers, to see in seconds that everything works")
	format := flags.String("format", report.Formats[0], "how to print figures: "+strings.Join(report.Formats, ", "))
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *small {
		b.Sizes = scale.Small()
	}
	if !slices.Contains(report.Formats, *format) {
		return fmt.Errorf("--format %s: want one of %s", *format, strings.Join(report.Formats, ", "))
	}
	wanted, err := regexp.Compile(*names)
	if err != nil {
		return fmt.Errorf("--scenarios: %w", err)
	}
	machine := usage.Machine() // before it is busy with this
	rows, err := b.Run(ctx, wanted)
	if *format != "json" {
		fmt.Fprintf(stdout, "%s\n\n", machine)
	}
	return errors.Join(err, report.Print(stdout, *format, rows))
}
