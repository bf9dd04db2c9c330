// Command testdataplane runs a test data plane in place of an Envoy: see ../../README.md.
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
	"syscall"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/bootstrap"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/plane"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "error:", err)
		}
		os.Exit(1)
	}
}

// run runs a data plane until ctx ends. Flags are those of Envoy, as far as they are executed; others are errors.
func run(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("testdataplane", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var path, logLevel, node, cluster string
	var drainTime uint
	flags.StringVar(&path, "c", "", "short for --config-path")
	flags.StringVar(&path, "config-path", "", "the bootstrap, a file of YAML or JSON")
	flags.StringVar(&logLevel, "l", "info", "short for --log-level")
	flags.StringVar(&logLevel, "log-level", "info", "trace, debug, info, warning, error, critical or off")
	flags.StringVar(&node, "service-node", "", "the node's ID, in place of the bootstrap's")
	flags.StringVar(&cluster, "service-cluster", "", "the node's cluster, in place of the bootstrap's")
	flags.UintVar(&drainTime, "drain-time-s", 600, "how many `seconds` connections of a removed listener may go on")
	flags.Bool("disable-hot-restart", false, "nothing: there is no hot restart")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if path == "" {
		return errors.New("-c or --config-path is required")
	}
	log, err := logger(logLevel, stderr)
	if err != nil {
		return err
	}
	config, err := bootstrap.Read(path, bootstrap.Identity{Node: node, Cluster: cluster})
	if err != nil {
		return err
	}
	p, err := plane.New(config, plane.Options{
		DrainTime: time.Duration(drainTime) * time.Second, GracePeriod: gracePeriod, Log: log,
	})
	if err != nil {
		return err
	}
	p.Run(ctx)
	return nil
}

// gracePeriod is how long connections may go on when the process is told to end.
const gracePeriod = 5 * time.Second

// levels are those of Envoy, by slog's.
var levels = map[string]slog.Level{
	"trace": slog.LevelDebug, "debug": slog.LevelDebug, "info": slog.LevelInfo, "warning": slog.LevelWarn, "warn": slog.LevelWarn,
	"error": slog.LevelError, "critical": slog.LevelError, "off": slog.LevelError + 1,
}

func logger(level string, w io.Writer) (*slog.Logger, error) {
	l, known := levels[level]
	if !known {
		return nil, fmt.Errorf("unknown log level %q", level)
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l})), nil
}
