package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/doctor"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/install"
)

func newDoctorCommand() *cobra.Command {
	var server kubeconfigFlags
	options := doctor.Options{Namespace: install.Name}
	output := choiceFlag{choices: []string{"json"}}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine a server that is installed in a Kubernetes cluster, and say what to do",
		Long: `Examine a server that "gateway-apiserver install" has installed, and print what is found, with what to do about it:

  apiservices   kube-apiserver asks the server for every version of the Gateway API, and verifies its certificate
  crds          which CustomResourceDefinitions of the Gateway API there are besides, and whether they serve anything
  replicas      all are ready, one of them leads, and they have the same version and the same etcd
  certificates  the APIServices' caBundle verifies what each replica serves, and nothing expires soon
  etcd          its members are reached, have raised no alarms, and have space left
  clock         the clocks of kube-apiserver, the replicas and this machine agree

Nothing is changed. Replicas are asked through port-forwards to their pods, or directly where --server says; with your
credentials, and only if their certificate is verified. What cannot be looked at is "not checked". The exit code is 1 if
something failed.`,
		Example: `  gateway-apiserver doctor

  # Replicas that run elsewhere, or that cannot be reached by port-forwards
  gateway-apiserver doctor --server=https://10.0.0.5:6443 --server=https://10.0.0.6:6443`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if server.namespace != "" {
				options.Namespace = server.namespace
			}
			for _, s := range options.Servers {
				if _, err := doctor.ParseServer(s); err != nil {
					return fmt.Errorf("--server=%s: %w", s, err)
				}
			}
			config, _, err := server.load("doctor")
			if err != nil {
				return err
			}
			findings, err := doctor.Examine(cmd.Context(), config, options)
			if err != nil {
				return err
			}
			return printFindings(cmd.OutOrStdout(), findings, output.value)
		},
	}
	flags := cmd.Flags()
	server.add(flags, "namespace of the server (default \""+options.Namespace+"\")")
	flags.StringArrayVar(&options.Servers, "server", nil, "URL of a replica, https://HOST:PORT, to ask instead of the pods; may be repeated")
	flags.VarP(&output, "output", "o", "print as json instead of text")
	return cmd
}

// printFindings prints a line for each finding, and one more for what to do. The error is that something failed.
func printFindings(w io.Writer, findings []doctor.Finding, format string) error {
	failed := 0
	for _, f := range findings {
		if f.Level == doctor.Failed {
			failed++
		}
	}
	if format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(map[string]any{"findings": findings}); err != nil {
			return err
		}
	} else {
		for _, f := range findings {
			fmt.Fprintf(w, "%-11s  %-12s  %s\n", f.Level, f.Check, f.Message)
			if f.Fix != "" {
				fmt.Fprintf(w, "%-11s  %-12s  -> %s\n", "", "", f.Fix)
			}
		}
	}
	switch failed {
	case 0:
		return nil
	case 1:
		return errors.New("1 check failed")
	}
	return fmt.Errorf("%d checks failed", failed)
}
