// Command accept writes the predicates of package accept: Go functions that say whether a typed spec surely satisfies
// the schema and the CEL rules of a version of the Gateway API. It reads the definitions that package crd embeds.
//
// What it can't translate is an error: of the schema, of a rule, or of how a Go type becomes JSON.
//
// Usage: go run ./hack/accept DIRECTORY
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/format"
	"log"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("accept: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: accept DIRECTORY")
	}
	files, err := generate()
	if err != nil {
		log.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(os.Args[1], name), content, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// generate returns the files: one with the predicates that are new with each kind, one with the regular expressions,
// one with the table of all.
func generate() (map[string][]byte, error) {
	g := &generator{
		made:     map[string]*predicate{},
		names:    map[string]bool{},
		patterns: map[string]string{},
	}
	files, index := map[string][]byte{}, &file{imports: map[string]string{}}
	index.WriteString("func init() {\npredicates = map[version]func(any) bool{\n")
	for _, kind := range apis.GatewayKinds {
		f := &file{imports: map[string]string{}}
		g.output = f.add
		for _, version := range kind {
			if err := g.version(index, version, kind.Hub()); err != nil {
				return nil, fmt.Errorf("%v: %w", version.GroupVersionKind, err)
			}
		}
		if err := f.write(files, strings.ToLower(kind.Hub().Kind)); err != nil {
			return nil, err
		}
	}
	index.WriteString("}\n}\n")
	if err := index.write(files, "predicates"); err != nil {
		return nil, err
	}
	return files, g.writePatterns().write(files, "patterns")
}

// version makes the predicates of a version of a kind for both channels, and writes their entries into the table.
func (g *generator) version(index *file, v, hub apis.Version) error {
	for _, channel := range []struct {
		name   string
		schema func(schema.GroupVersionKind) *crd.Schema
	}{{"experimental", crd.Lookup}, {"standard", crd.Standard}} {
		definition := channel.schema(v.GroupVersionKind)
		if definition == nil {
			continue
		}
		object, err := structural(definition)
		if err != nil {
			return err
		}
		if err := checkCost(object); err != nil {
			return err
		}
		typ, err := specType(v, hub)
		if err != nil {
			return err
		}
		spec := object.Properties["spec"]
		at := place{path: fmt.Sprintf("%s %s (%s) spec", v.Kind, v.Version, channel.name)}
		name, err := g.predicate(typ, &spec, at)
		if err != nil {
			return err
		}
		fmt.Fprintf(index, "{%q, %q, %q, %q}: of(%s),\n", channel.name, v.Group, v.GroupVersion().Version, v.Kind, name)
	}
	return nil
}

// specType returns the Go type of the specs that are validated by the schemas of v: that of v, which must be that of the
// hub too if objects of the hub are taken for objects of v.
func specType(v, hub apis.Version) (reflect.Type, error) {
	of := func(v apis.Version) reflect.Type {
		spec, _ := reflect.TypeOf(v.New()).Elem().FieldByName("Spec")
		return spec.Type
	}
	own, stored := of(v), of(hub)
	if own != stored && own.ConvertibleTo(stored) {
		return nil, fmt.Errorf("%v and %v are two types for the same specs", own, stored)
	}
	return own, nil
}

// structural returns a schema in the form in which the library validates by it.
func structural(s *crd.Schema) (*structuralschema.Structural, error) {
	data, err := json.Marshal(s.OpenAPI())
	if err != nil {
		return nil, err
	}
	v1, props := &apiextensionsv1.JSONSchemaProps{}, &apiextensions.JSONSchemaProps{}
	if err := json.Unmarshal(data, v1); err != nil {
		return nil, err
	}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v1, props, nil); err != nil {
		return nil, err
	}
	return structuralschema.NewStructural(props)
}

// file is a file that is being made.
type file struct {
	bytes.Buffer
	imports map[string]string
}

func (f *file) add(p *predicate) {
	fmt.Fprintf(f, "// %s is for %s.\nfunc %s(self %s) bool {\n%s}\n\n", p.name, p.doc, p.name, p.param, p.body)
	maps.Copy(f.imports, p.imports)
}

func (g *generator) writePatterns() *file {
	f := &file{}
	f.WriteString("var (\n")
	byName := map[string]string{}
	for expr, name := range g.patterns {
		byName[name] = expr
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		quoted := fmt.Sprintf("%q", byName[name])
		if !strings.Contains(byName[name], "`") {
			quoted = "`" + byName[name] + "`"
		}
		fmt.Fprintf(f, "%s = pattern(%s)\n", name, quoted)
	}
	f.WriteString(")\n")
	return f
}

// write adds the file to files, unless nothing is in it.
func (f *file) write(files map[string][]byte, name string) error {
	if f.Len() == 0 {
		return nil
	}
	var source bytes.Buffer
	source.WriteString("// Code generated by hack/accept. DO NOT EDIT.\n\npackage accept\n\n")
	if len(f.imports) > 0 {
		source.WriteString("import (\n")
		for _, standard := range []bool{true, false} {
			for _, path := range slices.Sorted(maps.Keys(f.imports)) {
				if standard != strings.Contains(strings.Split(path, "/")[0], ".") {
					fmt.Fprintf(&source, "%s %q\n", f.imports[path], path)
				}
			}
			source.WriteString("\n")
		}
		source.WriteString(")\n\n")
	}
	source.Write(f.Bytes())
	formatted, err := format.Source(source.Bytes())
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, source.Bytes())
	}
	files["zz_generated."+name+".go"] = formatted
	return nil
}
