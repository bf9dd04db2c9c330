// Command openapi prunes a file that openapi-gen wrote: it keeps the definitions of the served kinds of k8s.io/api and
// what they refer to, and everything that is not of k8s.io/api. openapi-gen generates whole packages only, and most of
// core/v1 describes pods.
//
// Usage: go run ./hack/openapi FILE
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"log"
	"os"
	"slices"
	"strings"
)

// served names the functions that openapi-gen writes for the served kinds; their lists are kept too.
var served = []string{
	"schema_k8sio_api_core_v1_ConfigMap",
	"schema_k8sio_api_core_v1_Event",
	"schema_k8sio_api_core_v1_Namespace",
	"schema_k8sio_api_core_v1_Secret",
	"schema_k8sio_api_core_v1_Service",
	"schema_k8sio_api_discovery_v1_EndpointSlice",
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("openapi: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: openapi FILE")
	}
	source, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	pruned, err := prune(source)
	if err != nil {
		log.Fatalf("%s: %v", os.Args[1], err)
	}
	if err := os.WriteFile(os.Args[1], pruned, 0o644); err != nil {
		log.Fatal(err)
	}
}

// definitions is what a generated file holds: the function of each definition, and its entry in the table of all.
type definitions struct {
	functions map[string]*ast.FuncDecl // by function name
	entries   map[string]*ast.KeyValueExpr
	keys      map[string]string // function name by the expression that names the definition
}

func prune(source []byte) ([]byte, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "", source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	offset := func(pos token.Pos) int { return files.Position(pos).Offset }
	text := func(node ast.Node) string { return string(source[offset(node.Pos()):offset(node.End())]) }

	all := collect(file, text)
	keep := map[string]bool{}
	for name := range all.functions {
		if !strings.HasPrefix(name, "schema_k8sio_api_") {
			all.reach(name, text, keep)
		}
	}
	for _, kind := range served {
		for _, name := range []string{kind, kind + "List"} {
			if all.functions[name] == nil {
				return nil, fmt.Errorf("no function %s", name)
			}
			all.reach(name, text, keep)
		}
	}

	var cuts []ast.Node
	for name, function := range all.functions {
		if !keep[name] {
			cuts = append(cuts, function, all.entries[name])
		}
	}
	slices.SortFunc(cuts, func(a, b ast.Node) int { return int(b.Pos() - a.Pos()) })
	pruned := slices.Clone(source)
	for _, cut := range cuts {
		end := offset(cut.End())
		if pruned[end] == ',' {
			end++
		}
		pruned = slices.Delete(pruned, offset(cut.Pos()), end)
	}
	// What is left of an entry is a blank line, and of a function two.
	for bytes.Contains(pruned, []byte("\n\t\t\n")) {
		pruned = bytes.ReplaceAll(pruned, []byte("\n\t\t\n"), []byte("\n"))
	}
	return format.Source(pruned)
}

func collect(file *ast.File, text func(ast.Node) string) definitions {
	all := definitions{map[string]*ast.FuncDecl{}, map[string]*ast.KeyValueExpr{}, map[string]string{}}
	for _, decl := range file.Decls {
		function, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if function.Name.Name != "GetOpenAPIDefinitions" {
			all.functions[function.Name.Name] = function
			continue
		}
		ast.Inspect(function, func(node ast.Node) bool {
			if entry, ok := node.(*ast.KeyValueExpr); ok {
				name := text(entry.Value.(*ast.CallExpr).Fun)
				all.entries[name], all.keys[text(entry.Key)] = entry, name
			}
			return true
		})
	}
	return all
}

// reach adds the named function to keep, and those of the definitions that it depends on.
func (d definitions) reach(name string, text func(ast.Node) string, keep map[string]bool) {
	if keep[name] {
		return
	}
	keep[name] = true
	ast.Inspect(d.functions[name], func(node ast.Node) bool {
		field, ok := node.(*ast.KeyValueExpr)
		if !ok || text(field.Key) != "Dependencies" {
			return true
		}
		for _, dependency := range field.Value.(*ast.CompositeLit).Elts {
			if target, ok := d.keys[text(dependency)]; ok {
				d.reach(target, text, keep)
			}
		}
		return false
	})
}
