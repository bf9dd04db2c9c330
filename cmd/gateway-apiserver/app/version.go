package app

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	apimachineryversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/component-base/version"
	"sigs.k8s.io/gateway-api/pkg/consts"
)

// envoyModule holds the Envoy API as Go types.
const envoyModule = "github.com/envoyproxy/go-control-plane/envoy"

func newVersionCommand() *cobra.Command {
	output := choiceFlag{choices: []string{"json"}}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of the server, Go, the Gateway API and the Envoy API",
		Long: `Print the version of this binary, of the Go that built it, of the Gateway API bundle
that it serves and of the Envoy API that it speaks. No server is asked.`,
		Example: `  gateway-apiserver version
  gateway-apiserver version -o json`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			build, _ := debug.ReadBuildInfo()
			return printVersions(cmd.OutOrStdout(), versionsOf(version.Get(), build), output.value)
		},
	}
	cmd.Flags().VarP(&output, "output", "o", "print as json instead of text")
	return cmd
}

// versions is what the version command prints.
type versions struct {
	Server     apimachineryversion.Info `json:"server"`
	GatewayAPI string                   `json:"gatewayAPI"`
	EnvoyAPI   string                   `json:"envoyAPI"`
}

// versionsOf tells what was built: release builds set the variables of k8s.io/component-base/version by -ldflags -X, and
// what they leave out is in the build information that the go command adds.
func versionsOf(server apimachineryversion.Info, build *debug.BuildInfo) versions {
	out := versions{Server: server, GatewayAPI: consts.BundleVersion, EnvoyAPI: "unknown"}
	if build == nil {
		return out
	}
	for _, module := range build.Deps {
		if module.Path == envoyModule {
			out.EnvoyAPI = module.Version
		}
	}
	if !strings.Contains(server.GitVersion, "$Format") { // set by -ldflags
		return out
	}
	settings := map[string]string{}
	for _, setting := range build.Settings {
		settings[setting.Key] = setting.Value
	}
	out.Server.GitVersion = cmp.Or(build.Main.Version, "(devel)")
	out.Server.GitCommit = settings["vcs.revision"]
	out.Server.BuildDate = settings["vcs.time"]
	out.Server.GitTreeState = map[string]string{"true": "dirty", "false": "clean"}[settings["vcs.modified"]]
	return out
}

func printVersions(w io.Writer, v versions, format string) error {
	if format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(v)
	}
	commit := ""
	if v.Server.GitCommit != "" {
		commit = fmt.Sprintf(" (commit %s, tree %s, %s)", v.Server.GitCommit, cmp.Or(v.Server.GitTreeState, "unknown"), v.Server.BuildDate)
	}
	_, err := fmt.Fprintf(w, `gateway-apiserver: %s%s
Go:                %s %s
Gateway API:       %s
Envoy API:         %s
`, v.Server.GitVersion, commit, v.Server.GoVersion, v.Server.Platform, v.GatewayAPI, v.EnvoyAPI)
	return err
}
