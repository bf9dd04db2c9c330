// Package imports checks the project's import rules: which package may import which, and which libraries the model and
// its readers stay free of. The arrows of docs/architecture.md are this table.
package imports

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/gateway-apiserver/gateway-apiserver"

// A rule says what a package may import. Packages of the project are named relative to the module, libraries by import
// path; "x/..." means x and everything below it.
type rule struct {
	pkg string
	// project packages that it may import directly.
	project []string
	// libraries that it may import directly, apart from the standard library; nil means any.
	libraries []string
	// never are the libraries that it must not even depend on through others.
	never []string
}

const (
	apiMachinery = "k8s.io/apimachinery/..."
	apiServer    = "k8s.io/apiserver/..."
	// genericServer is what is more of apiServer than the interfaces of authentication and authorization.
	genericServer = "k8s.io/apiserver/pkg/server"
	clientGo      = "k8s.io/client-go/..."
	coreTypes     = "k8s.io/api/..."
	envoy         = "github.com/envoyproxy/go-control-plane/..."
	etcd          = "go.etcd.io/etcd/..."
	fleetTypes    = "pkg/apis/fleet/v1alpha1"
	gatewayTypes  = "sigs.k8s.io/gateway-api/apis/..."
	gatewayX      = "sigs.k8s.io/gateway-api/apisx/..."
	gatewayMeta   = "sigs.k8s.io/gateway-api/pkg/..."
	grpc          = "google.golang.org/grpc/..."
	protobuf      = "google.golang.org/protobuf/..."
	rpcStatus     = "google.golang.org/genproto/googleapis/rpc/..."
	xdsTypes      = "github.com/cncf/xds/go/..."
)

// rules has a row for each package, importers before what they import. The first row that names a package counts.
var rules = []rule{
	{pkg: "cmd/gateway-apiserver", project: []string{"cmd/gateway-apiserver/app"}},
	{pkg: "cmd/gateway-apiserver/app", project: []string{"pkg/..."}, never: []string{module + "/pkg/graph/graphtest"}},

	// The API. The registry reaches the engine through an interface of its own.
	{pkg: "pkg/apiserver", project: []string{"pkg/registry", "pkg/apis/..."}},
	{pkg: "pkg/migration", project: []string{"pkg/registry", "pkg/apis"}, never: []string{envoy}},
	{pkg: "pkg/garbage", project: []string{"pkg/registry"}, never: []string{envoy}},
	{pkg: "pkg/registry", project: []string{"pkg/apis/..."}, never: []string{envoy}},
	{pkg: "pkg/apis/...", project: []string{"pkg/apis/..."}, never: []string{envoy}},
	{pkg: "pkg/manifests", project: []string{"pkg/documents"}, never: []string{envoy}},
	{pkg: "pkg/transfer", project: []string{"pkg/documents"}, never: []string{envoy}},
	{pkg: "pkg/documents", never: []string{envoy}},
	{pkg: "pkg/cluster", never: []string{envoy, apiServer}},
	{pkg: "pkg/election", never: []string{envoy, apiServer}},
	{pkg: "pkg/definitions", project: []string{"pkg/apis", "pkg/apis/crd"}, never: []string{envoy}},
	{pkg: "pkg/doctor", project: []string{"pkg/install"}, never: []string{envoy}},
	{pkg: "pkg/install", project: []string{"pkg/apis/...", "pkg/documents", "pkg/graph", "pkg/selfsigned"}, never: []string{envoy}},
	{pkg: "pkg/provision", project: []string{"pkg/graph", "pkg/xds/bootstrap", "pkg/xds/identity"}, never: []string{genericServer}},
	{
		pkg:       "pkg/xds/bootstrap",
		project:   []string{"pkg/xds/nodes"},
		libraries: []string{envoy, protobuf, "sigs.k8s.io/yaml"},
		never:     []string{apiServer, clientGo},
	},
	{pkg: "pkg/progress", libraries: []string{etcd, "k8s.io/klog/v2"}, never: []string{apiServer, clientGo, envoy}},
	{pkg: "pkg/takeover", project: []string{"pkg/apis/...", "pkg/documents", "pkg/install", "pkg/transfer"}, never: []string{envoy}},
	{pkg: "pkg/durable", libraries: []string{}},
	{pkg: "pkg/selfsigned", project: []string{"pkg/durable", "pkg/pki"}, never: []string{envoy}},
	{pkg: "pkg/etcd/...", project: []string{"pkg/durable", "pkg/etcd", "pkg/registry", "pkg/apis"}},
	{pkg: "pkg/pki", project: []string{"pkg/durable"}},

	// The model and its readers.
	{
		pkg:     "pkg/engine",
		project: []string{fleetTypes, "pkg/graph", "pkg/status", "pkg/xds/translate", "pkg/xds/cache", "pkg/xds/lint", "pkg/xds/nodes"},
		never:   []string{apiServer},
	},
	{
		pkg:       "pkg/status",
		project:   []string{fleetTypes, "pkg/graph"},
		libraries: []string{apiMachinery, coreTypes, gatewayTypes, gatewayX, gatewayMeta},
		never:     []string{apiServer, clientGo, envoy},
	},
	{
		pkg:       "pkg/xds/translate",
		project:   []string{fleetTypes, "pkg/graph"},
		libraries: []string{apiMachinery, coreTypes, envoy, gatewayTypes, gatewayX, protobuf, xdsTypes},
		never:     []string{apiServer, clientGo},
	},
	{
		pkg:       "pkg/graph",
		project:   []string{fleetTypes},
		libraries: []string{apiMachinery, coreTypes, gatewayTypes, gatewayX},
		never:     []string{apiServer, clientGo, envoy, grpc},
	},

	// Delivery, which knows no Gateway API.
	{
		pkg:     "pkg/xds/fleet",
		project: []string{fleetTypes, "pkg/xds/cache", "pkg/xds/server"},
		libraries: []string{
			apiMachinery, clientGo, envoy, etcd, "golang.org/x/time/rate", "k8s.io/component-base/metrics/...", "k8s.io/klog/v2",
		},
		never: []string{genericServer, "sigs.k8s.io/gateway-api/..."},
	},
	{
		pkg:       "pkg/xds/verdict",
		project:   []string{"pkg/xds/cache"},
		libraries: []string{envoy, etcd, grpc, "github.com/cespare/xxhash/v2", "github.com/google/uuid", "k8s.io/klog/v2"},
		never:     []string{apiServer, clientGo, "sigs.k8s.io/gateway-api/..."},
	},
	{
		pkg:     "pkg/xds/server",
		project: []string{"pkg/xds/cache", "pkg/xds/identity", "pkg/xds/nodes"},
		libraries: []string{
			envoy, grpc, protobuf, rpcStatus, "golang.org/x/time/rate", "k8s.io/component-base/metrics/...", "k8s.io/klog/v2", "k8s.io/utils/lru",
		},
		never: []string{genericServer, "sigs.k8s.io/gateway-api/..."},
	},
	{
		pkg:       "pkg/xds/identity",
		project:   []string{"pkg/xds/nodes"},
		libraries: []string{apiMachinery, "k8s.io/apiserver/pkg/authentication/...", "k8s.io/apiserver/pkg/authorization/...", grpc},
		never:     []string{genericServer, "sigs.k8s.io/gateway-api/..."},
	},
	{
		pkg:       "pkg/xds/nodes",
		libraries: []string{envoy, protobuf, apiMachinery},
		never:     []string{apiServer, clientGo, "sigs.k8s.io/gateway-api/..."},
	},
	{
		pkg:       "pkg/xds/cache",
		libraries: []string{envoy, protobuf, rpcStatus, "github.com/cespare/xxhash/v2", "google.golang.org/grpc/mem"},
		never:     []string{"k8s.io/...", "sigs.k8s.io/..."},
	},
	{
		pkg:       "pkg/xds/lint",
		libraries: []string{envoy, protobuf},
		never:     []string{"k8s.io/...", "sigs.k8s.io/..."},
	},
	{
		pkg:       "pkg/xds/client",
		libraries: []string{envoy, grpc, protobuf, rpcStatus, "golang.org/x/oauth2"},
		never:     []string{"k8s.io/...", "sigs.k8s.io/..."},
	},

	// Not in the binary: nothing above may import these.
	{pkg: "pkg/graph/graphtest", project: []string{fleetTypes, "pkg/graph"}, libraries: []string{coreTypes, apiMachinery, gatewayTypes, gatewayX}},
	{pkg: "hack/...", project: []string{"..."}},
	// The test data plane shares no code with what it judges.
	{pkg: "test/dataplane/...", project: []string{"test/dataplane/..."}, never: []string{module + "/pkg/..."}},
	{pkg: "test/...", project: []string{"..."}},
}

// A goPackage is what go list says about a package. Imports of test files are in none of its fields.
type goPackage struct {
	ImportPath string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

func TestImports(t *testing.T) {
	t.Parallel()
	packages := listPackages(t)
	for _, v := range check(rules, packages) {
		t.Error(v)
	}
	for _, r := range rules {
		named := func(p goPackage) bool { return matches(module+"/"+r.pkg, p.ImportPath) }
		if !strings.HasSuffix(r.pkg, "...") && !slices.ContainsFunc(packages, named) {
			t.Errorf("%s has a rule but is no package", r.pkg)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	madeUp := []rule{
		{pkg: "top", project: []string{"middle/..."}},
		{pkg: "middle/...", project: []string{"bottom"}, libraries: []string{"example.com/good/..."}},
		{pkg: "bottom", libraries: []string{}, never: []string{"example.com/heavy/..."}},
	}
	tests := []struct {
		name string
		pkg  goPackage
		want []string
	}{
		{
			name: "allowed",
			pkg:  goPackage{ImportPath: module + "/middle/a", Imports: []string{"fmt", "net/http", module + "/bottom", "example.com/good", "example.com/good/v2"}},
		},
		{
			name: "any library",
			pkg:  goPackage{ImportPath: module + "/top", Imports: []string{module + "/middle", module + "/middle/a", "example.com/bad"}},
		},
		{
			name: "upwards",
			pkg:  goPackage{ImportPath: module + "/bottom", Imports: []string{module + "/middle/a"}},
			want: []string{"bottom must not import middle/a"},
		},
		{
			name: "past a layer",
			pkg:  goPackage{ImportPath: module + "/top", Imports: []string{module + "/bottom"}},
			want: []string{"top must not import bottom"},
		},
		{
			name: "library that is not listed",
			pkg:  goPackage{ImportPath: module + "/middle", Imports: []string{"example.com/goodness"}},
			want: []string{"middle must not import example.com/goodness"},
		},
		{
			name: "library through another",
			pkg:  goPackage{ImportPath: module + "/bottom", Deps: []string{"fmt", "example.com/light", "example.com/heavy/metal"}},
			want: []string{"bottom must not depend on example.com/heavy/metal"},
		},
		{
			name: "no rule",
			pkg:  goPackage{ImportPath: module + "/toppled"},
			want: []string{"toppled has no rule"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.pkg.GoFiles = []string{"a.go"}
			if diff := cmp.Diff(tt.want, check(madeUp, []goPackage{tt.pkg})); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("tests only", func(t *testing.T) {
		t.Parallel()
		if got := check(madeUp, []goPackage{{ImportPath: module + "/toppled"}}); got != nil {
			t.Errorf("a package of tests needs no rule, got %q", got)
		}
	})
}

// check returns the violations of rules in packages, a line each.
func check(rules []rule, packages []goPackage) []string {
	var violations []string
	for _, p := range packages {
		if len(p.GoFiles) == 0 {
			continue
		}
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		i := slices.IndexFunc(rules, func(r rule) bool { return matches(r.pkg, name) })
		if i < 0 {
			violations = append(violations, fmt.Sprintf("%s has no rule", name))
			continue
		}
		r := rules[i]
		for _, path := range p.Imports {
			allowed := isStandard(path) || r.libraries == nil || matchesAny(r.libraries, path)
			target, ours := strings.CutPrefix(path, module+"/")
			if ours {
				allowed = matchesAny(r.project, target)
			}
			if !allowed {
				violations = append(violations, fmt.Sprintf("%s must not import %s", name, target))
			}
		}
		for _, pattern := range r.never {
			// One is enough: a library brings its own libraries with it.
			if i := slices.IndexFunc(p.Deps, func(path string) bool { return matches(pattern, path) }); i >= 0 {
				violations = append(violations, fmt.Sprintf("%s must not depend on %s", name, p.Deps[i]))
			}
		}
	}
	return violations
}

// matches says whether path is what pattern names: itself, or with "/..." at the end everything below it too.
func matches(pattern, path string) bool {
	prefix, below := strings.CutSuffix(pattern, "...")
	if !below {
		return pattern == path
	}
	return strings.HasPrefix(path+"/", prefix)
}

func matchesAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, path) })
}

// isStandard says whether path is of the standard library: only modules have a dot in the first element of their path.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// listPackages asks go list about the packages of the module.
func listPackages(t *testing.T) []goPackage {
	t.Helper()
	root := filepath.Join("..", "..")
	statSources(t, root)
	cmd := exec.Command("go", "list", "-json=ImportPath,GoFiles,Imports,Deps", "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &stderr)
	}
	var packages []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// statSources looks at the files that go list reads. The go command keeps the result of a test until a file changes
// that the test itself has looked at; what its subprocesses read doesn't count.
func statSources(t *testing.T, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() != ".." && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if ext := filepath.Ext(path); ext == ".go" || ext == ".mod" {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
