package app

import (
	"encoding/json"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	apimachineryversion "k8s.io/apimachinery/pkg/version"
	"sigs.k8s.io/gateway-api/pkg/consts"
)

func TestVersionsOf(t *testing.T) {
	t.Parallel()
	build := &debug.BuildInfo{
		Main: debug.Module{Version: "v0.1.1-0.20261121080000-0123456789ab"},
		Deps: []*debug.Module{{Path: "github.com/envoyproxy/go-control-plane", Version: "v0.14.0"}, {Path: envoyModule, Version: "v1.40.0"}},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123456789ab"}, {Key: "vcs.time", Value: "2026-11-21T08:00:00Z"}, {Key: "vcs.modified", Value: "true"},
		},
	}
	unset := apimachineryversion.Info{GitVersion: "v0.0.0-master+$Format:%H$", GitCommit: "$Format:%H$", BuildDate: "1970-01-01T00:00:00Z", GoVersion: "go1.26.0"}
	set := apimachineryversion.Info{GitVersion: "v0.1.0", GitCommit: "ba9876543210", GitTreeState: "clean", BuildDate: "2026-11-20T00:00:00Z"}
	for _, test := range []struct {
		name   string
		server apimachineryversion.Info
		build  *debug.BuildInfo
		want   versions
	}{
		{"a release", set, build, versions{set, consts.BundleVersion, "v1.40.0"}},
		{"go build", unset, build, versions{apimachineryversion.Info{
			GitVersion: "v0.1.1-0.20261121080000-0123456789ab", GitCommit: "0123456789ab", GitTreeState: "dirty", BuildDate: "2026-11-21T08:00:00Z", GoVersion: "go1.26.0",
		}, consts.BundleVersion, "v1.40.0"}},
		{"nothing known of the build", set, nil, versions{set, consts.BundleVersion, "unknown"}},
	} {
		if got := versionsOf(test.server, test.build); got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestVersionCommand(t *testing.T) {
	t.Parallel()
	stdout, stderr, code := run(t, "version", "-o", "json")
	if code != 0 {
		t.Fatal(stderr)
	}
	var got versions
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if got.Server.GoVersion != runtime.Version() || got.GatewayAPI != consts.BundleVersion {
		t.Errorf("got %+v", got)
	}
	if text, _, _ := run(t, "version"); strings.Count(text, "\n") != 4 || !strings.Contains(text, consts.BundleVersion) {
		t.Errorf("printed:\n%s", text)
	}
}
