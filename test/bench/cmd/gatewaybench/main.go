// Command gatewaybench measures an implementation of Gateway API through its public API and prints a table: see package
// gatewayapi.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/gateway-apiserver/gateway-apiserver/test/bench/gatewayapi"
	"github.com/gateway-apiserver/gateway-apiserver/test/bench/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("gatewaybench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	o := gatewayapi.Options{Log: slog.New(slog.NewTextHandler(stderr, nil))}
	var names []string
	for _, s := range gatewayapi.Scenarios {
		names = append(names, s.Name)
	}
	kubeconfig := flags.String("kubeconfig", os.Getenv("KUBECONFIG"), "`file` that says where the cluster is, and who asks")
	scenario := flags.String("scenario", "", "what to measure: "+strings.Join(names, ", ")+"; default: all, but those with traffic only if there is an --address")
	flags.StringVar(&o.Class, "gateway-class", "", "the implementation's GatewayClass; required")
	flags.StringVar(&o.Namespace, "namespace", "gatewaybench-"+strings.ToLower(rand.Text()[:6]), "a new namespace for all that is created")
	port := flags.Int("port", 80, "port of the Gateway's listener for HTTP; that of HTTPS is the next one")
	flags.StringVar(&o.Address, "address", "", "`HOST[:PORT]` of the Gateway's data plane, if its status doesn't say it; for route-propagation")
	flags.StringVar(&o.Backend, "backend", "", "an `IP` address of this machine on which the data plane reaches a backend here; without it, the routes of route-propagation redirect")
	flags.IntVar(&o.Routes, "routes", 1000, "number of routes")
	flags.IntVar(&o.ListenerSets, "listenersets", 100, "number of ListenerSets, each with 16 routes")
	flags.IntVar(&o.Clients, "clients", 16, "how many clients create and delete at the same time")
	flags.DurationVar(&o.Churn, "churn", time.Minute, "how long route-scale goes on changing what it has created")
	flags.DurationVar(&o.Patience, "timeout", 5*time.Minute, "when something that is waited for is given up")
	flags.IntVar(&o.PID, "pid", 0, "process of the control plane, if it is on this machine: what it uses is measured")
	format := flags.String("format", report.Formats[0], "how to print figures: "+strings.Join(report.Formats, ", "))
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.Class == "" {
		return errors.New("--gateway-class is required")
	}
	if o.Routes < 1 || o.ListenerSets < 1 || o.Clients < 1 || *port < 1 || *port > 65534 {
		return errors.New("--routes, --listenersets and --clients want to be at least 1, and --port between 1 and 65534")
	}
	o.Port = int32(*port)
	if *scenario != "" && !slices.Contains(names, *scenario) {
		return fmt.Errorf("--scenario %s: want one of %s", *scenario, strings.Join(names, ", "))
	}
	if !slices.Contains(report.Formats, *format) {
		return fmt.Errorf("--format %s: want one of %s", *format, strings.Join(report.Formats, ", "))
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	var (
		rows   []report.Row
		failed error
	)
	for _, s := range gatewayapi.Scenarios {
		if *scenario == "" && s.Data && o.Address == "" || *scenario != "" && s.Name != *scenario {
			continue
		}
		found, err := gatewayapi.Run(ctx, config, s, o)
		for _, row := range found {
			row.What = s.Name + ": " + row.What
			rows = append(rows, row)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.Name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed, report.Print(stdout, *format, rows))
}
