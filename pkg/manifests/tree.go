package manifests

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/documents"
)

// tree is what the directories hold at a moment.
type tree struct {
	// documents are in the order in which they are applied.
	documents []document
	problems  []problem
	// vacant are the directories that can be read and have no file for us.
	vacant []string
}

// isManifest says whether a file is read, by its name.
func isManifest(name string) bool {
	return !strings.HasPrefix(name, ".") && documents.IsFile(name)
}

// read reads the directories, which are absolute paths. Of two documents for one object the first counts: directories
// count in their order, files in that of their names.
func read(dirs []string) tree {
	var t tree
	seen := map[key]place{}
	for _, dir := range dirs {
		files, err := manifestsIn(dir)
		if err != nil {
			t.problems = append(t.problems, problem{place: place{File: dir}, err: err})
			continue
		}
		if len(files) == 0 {
			t.vacant = append(t.vacant, dir)
		}
		for _, file := range files {
			data, err := readFile(file)
			if err != nil {
				t.problems = append(t.problems, problem{place: place{File: file}, err: err})
				continue
			}
			declared, problems := parse(file, data)
			t.problems = append(t.problems, problems...)
			for _, d := range declared {
				if first, ok := seen[d.key()]; ok {
					t.problems = append(t.problems, problem{place: d.Place, object: documents.Title(d.Object), lasting: true,
						err: fmt.Errorf("the object is already declared in %s, document %d, line %d; that one counts", first.File, first.Number, first.Line)})
					continue
				}
				seen[d.key()] = d.Place
				t.documents = append(t.documents, d)
			}
		}
	}
	slices.SortStableFunc(t.documents, func(a, b document) int { return cmp.Compare(rank(a.Object.GetKind()), rank(b.Object.GetKind())) })
	return t
}

// manifestsIn lists the files to read in a directory, by name.
func manifestsIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		if !isManifest(entry.Name()) {
			continue
		}
		file := filepath.Join(dir, entry.Name())
		if info, err := os.Stat(file); err == nil && info.IsDir() {
			continue
		}
		files = append(files, file)
	}
	return files, nil
}

// readFile reads a file, through links. Anything else, such as a pipe, might never end.
func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file, but %s", info.Mode().Type())
	}
	return os.ReadFile(name)
}

// order holds kinds that others refer to, the first to apply first. It spares retries, and warnings about references that
// are only not there yet. That all documents are applied in the end doesn't depend on it.
var order = []string{
	"Namespace", "CustomResourceDefinition", "GatewayClass", "ReferenceGrant", "ConfigMap", "Secret", "Service", "EndpointSlice", "Gateway",
}

func rank(kind string) int {
	if i := slices.Index(order, kind); i >= 0 {
		return i
	}
	return len(order)
}
