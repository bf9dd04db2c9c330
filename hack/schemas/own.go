package main

import (
	"fmt"
	"path/filepath"
)

// own reads the definitions in a directory, in the order of their files' names. They are the same in both channels.
func own(dir string, store *schemas) ([]kind, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no definitions", dir)
	}
	var kinds []kind
	for _, file := range files {
		k, err := ownKind(file, store)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
		kinds = append(kinds, k)
	}
	return kinds, nil
}

func ownKind(file string, store *schemas) (kind, error) {
	crd, err := readDefinition(file)
	if err != nil {
		return kind{}, err
	}
	k := kind{Group: crd.Spec.Group, Names: crd.Spec.Names, Scope: crd.Spec.Scope}
	for _, v := range crd.Spec.Versions {
		warning, err := warning(&v, version{})
		if err != nil {
			return kind{}, fmt.Errorf("version %s: %w", v.Name, err)
		}
		id, err := store.add(v.Schema.OpenAPIV3Schema, crd.Name+" "+v.Name)
		if err != nil {
			return kind{}, fmt.Errorf("version %s: %w", v.Name, err)
		}
		k.Versions = append(k.Versions, kindVersion{
			Name: v.Name, Columns: columns(&v), Status: hasStatus(&v), Warning: warning, Experimental: id, Standard: id,
		})
	}
	return k, nil
}
