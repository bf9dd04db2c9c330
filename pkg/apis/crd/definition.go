package crd

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd/accept"
)

//go:embed zz_generated.crds.jsonl
var definitions []byte

// kindLine is a line of the embedded file: a kind with its versions.
type kindLine struct {
	Group    string                                        `json:"group"`
	Names    apiextensionsv1.CustomResourceDefinitionNames `json:"names"`
	Scope    apiextensionsv1.ResourceScope                 `json:"scope"`
	Versions []struct {
		Name    string                                           `json:"name"`
		Columns []apiextensionsv1.CustomResourceColumnDefinition `json:"columns"`
		Status  bool                                             `json:"status"`
		Warning string                                           `json:"warning"`
		// Ids of the schemas of both channels; Standard is empty for a version that is not in that channel.
		Experimental string `json:"experimental"`
		Standard     string `json:"standard"`
	} `json:"versions"`
}

// schemaLine is another line: a schema that versions refer to.
type schemaLine struct {
	ID     string          `json:"id"`
	Schema json.RawMessage `json:"schema"`
}

// channels are the schemas of a kind and version.
type channels struct{ experimental, standard *Schema }

// index reads the embedded file once, without parsing the schemas in it. The file is generated and tested, so an error
// in it is a mistake of this program.
var index = sync.OnceValue(func() map[schema.GroupVersionKind]channels {
	found, err := read(definitions)
	if err != nil {
		panic(fmt.Sprintf("embedded CustomResourceDefinitions: %v", err))
	}
	return found
})

// read reads a file that hack/schemas has written.
func read(data []byte) (map[schema.GroupVersionKind]channels, error) {
	var kinds []kindLine
	structures := map[string]*structure{}
	for decoder := json.NewDecoder(bytes.NewReader(data)); ; {
		var line struct {
			kindLine
			schemaLine
		}
		if err := decoder.Decode(&line); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if line.ID != "" {
			structures[line.ID] = newStructure(line.ID, line.Schema)
		} else {
			kinds = append(kinds, line.kindLine)
		}
	}

	found := map[schema.GroupVersionKind]channels{}
	for _, kind := range kinds {
		for _, version := range kind.Versions {
			gvk := schema.GroupVersionKind{Group: kind.Group, Version: version.Name, Kind: kind.Names.Kind}
			columns, err := tableconvertor.New(version.Columns)
			if err != nil {
				return nil, fmt.Errorf("%v: %w", gvk, err)
			}
			of := func(channel Channel, id string) *Schema {
				return &Schema{
					gvk: gvk, names: kind.Names, scope: kind.Scope, columns: columns, printed: version.Columns,
					status: version.Status, warning: version.Warning, structure: structures[id],
					accepts: accept.Spec(string(channel), gvk),
				}
			}
			both := channels{experimental: of(ExperimentalChannel, version.Experimental)}
			if both.experimental.structure == nil {
				return nil, fmt.Errorf("%v: no schema %q", gvk, version.Experimental)
			}
			if version.Standard != "" {
				both.standard = of(StandardChannel, version.Standard)
				if both.standard.structure == nil {
					return nil, fmt.Errorf("%v: no schema %q", gvk, version.Standard)
				}
			}
			found[gvk] = both
		}
	}
	return found, nil
}
