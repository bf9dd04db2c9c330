// Package features checks docs/features.md: every field of every kind that is served stands there, with what becomes of it
// and the feature scripts that show it; and every feature of upstream, with whether GatewayClasses claim it.
package features

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

const page = "../../docs/features.md"

// scriptPath returns where a script is: in test/features, or one that needs a cluster, "provision/infrastructure", in
// test/cluster.
func scriptPath(name string) string {
	if folder, file, slash := strings.Cut(name, "/"); slash {
		return filepath.Join("../../test/cluster", folder, "testdata", file+".txtar")
	}
	return filepath.Join("../../test/features/testdata", name+".txtar")
}

// verdicts are how what becomes of a field begins.
var verdicts = []string{"honoured", "status says unsupported, because ", "a Warning says that it has no effect, because ", "not applicable"}

// A row is a line of the page: a field, or with ".*" at its end also all fields below it.
type row struct {
	line           int
	field, verdict string
	scripts        []string
}

var (
	heading = regexp.MustCompile("^## ([A-Z][A-Za-z]+)")
	line    = regexp.MustCompile("^\\| `(spec[^`]*)` \\| (.+?) \\| (.*?) ?\\|$")
	quoted  = regexp.MustCompile("`([a-z0-9-]+(?:/[a-z0-9-]+)?)`")
)

func TestFeatures(t *testing.T) {
	t.Parallel()
	pages := readPage(t)
	for _, kind := range slices.Concat(apis.GatewayKinds, apis.OwnKinds) {
		hub := kind.Hub()
		rows := pages[hub.Kind]
		delete(pages, hub.Kind)
		used := map[string]bool{}
		for _, field := range fieldsOf(crd.Lookup(hub.GroupVersionKind).Definition()) {
			r := rowFor(rows, field)
			if r == nil {
				t.Errorf("%s: no row for %s", hub.Kind, field)
				continue
			}
			used[r.field] = true
		}
		for _, r := range rows {
			if !used[r.field] {
				t.Errorf("%s:%d: %s of %s is no field, or other rows stand for all of it", page, r.line, r.field, hub.Kind)
			}
			checkRow(t, r)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(pages)) {
		t.Errorf("%s: no kind %s is served", page, kind)
	}
}

func checkRow(t *testing.T, r *row) {
	t.Helper()
	if !slices.ContainsFunc(verdicts, func(v string) bool { return strings.HasPrefix(r.verdict, v) }) {
		t.Errorf("%s:%d: what becomes of %s has to begin with one of %q", page, r.line, r.field, verdicts)
	}
	if len(r.scripts) == 0 {
		t.Errorf("%s:%d: no feature script shows what becomes of %s", page, r.line, r.field)
	}
}

// TestScripts looks for the scripts that the tables of the page name, be they about fields or not.
func TestScripts(t *testing.T) {
	t.Parallel()
	inTable := false
	for i, s := range lines(t) {
		inTable = strings.HasSuffix(s, "| shown by |") || inTable && strings.HasPrefix(s, "|")
		if !inTable {
			continue
		}
		cells := strings.Split(strings.Trim(s, "| "), " | ")
		for _, q := range quoted.FindAllStringSubmatch(cells[len(cells)-1], -1) {
			if _, err := os.Stat(scriptPath(q[1])); err != nil {
				t.Errorf("%s:%d: %v", page, i+1, err)
			}
		}
	}
}

// lines returns the lines of the page.
func lines(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}

// readPage returns the rows of the page by kind.
func readPage(t *testing.T) map[string][]*row {
	t.Helper()
	pages, kind := map[string][]*row{}, ""
	for i, s := range lines(t) {
		if m := heading.FindStringSubmatch(s); m != nil {
			kind = m[1]
		}
		m := line.FindStringSubmatch(s)
		if m == nil {
			continue
		}
		r := &row{line: i + 1, field: m[1], verdict: m[2]}
		for _, q := range quoted.FindAllStringSubmatch(m[3], -1) {
			r.scripts = append(r.scripts, q[1])
		}
		pages[kind] = append(pages[kind], r)
	}
	return pages
}

// rowFor returns the row that says most exactly what becomes of a field.
func rowFor(rows []*row, field string) *row {
	var best *row
	for _, r := range rows {
		above, all := strings.CutSuffix(r.field, ".*")
		if r.field != field && !(all && (field == above || strings.HasPrefix(field, above+".") || strings.HasPrefix(field, above+"["))) {
			continue
		}
		if best == nil || len(r.field) > len(best.field) {
			best = r
		}
	}
	return best
}

// fieldsOf returns the fields of a kind's spec that have no fields below them.
func fieldsOf(version apiextensionsv1.CustomResourceDefinitionVersion) []string {
	var fields []string
	var walk func(path string, s *apiextensionsv1.JSONSchemaProps)
	walk = func(path string, s *apiextensionsv1.JSONSchemaProps) {
		if s.Items != nil && s.Items.Schema != nil {
			path, s = path+"[]", s.Items.Schema
		}
		if len(s.Properties) == 0 {
			fields = append(fields, path)
			return
		}
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			p := s.Properties[name]
			walk(fmt.Sprintf("%s.%s", path, name), &p)
		}
	}
	spec := version.Schema.OpenAPIV3Schema.Properties["spec"]
	walk("spec", &spec)
	return fields
}
