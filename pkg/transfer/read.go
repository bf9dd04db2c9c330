package transfer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/documents"
)

// Read reads the objects in files, which are YAML or JSON. A directory stands for the .yaml, .yml and .json files right
// in it, and "-" for stdin. Lists stand for their items. If anything cannot be understood, all that is wrong is returned
// instead.
func Read(files []string, stdin io.Reader) ([]documents.Document, error) {
	var all []documents.Document
	var errs []error
	for _, file := range files {
		found, err := readPath(file, stdin)
		all = append(all, found...)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return all, nil
}

func readPath(path string, stdin io.Reader) ([]documents.Document, error) {
	if path == "-" {
		data, err := io.ReadAll(stdin)
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		return parse("standard input", data)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return readFile(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var all []documents.Document
	var errs []error
	for _, entry := range entries {
		if entry.IsDir() || !documents.IsFile(entry.Name()) {
			continue
		}
		found, err := readFile(filepath.Join(path, entry.Name()))
		all = append(all, found...)
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}

func readFile(path string) ([]documents.Document, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, data)
}

func parse(name string, data []byte) ([]documents.Document, error) {
	found, problems := documents.Parse(name, data)
	var errs []error
	for _, p := range problems {
		errs = append(errs, p)
	}
	return found, errors.Join(errs...)
}
