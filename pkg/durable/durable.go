package durable

import (
	"errors"
	"os"
	"path/filepath"
)

// PartSuffix is what the name of a file ends with that is being written.
const PartSuffix = ".part"

// WriteFile makes the file at path, with mode 0600, whole or not at all. One process at a time may do so.
func WriteFile(path string, content []byte) error {
	part, err := os.OpenFile(path+PartSuffix, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = part.Write(content)
	if err := errors.Join(err, part.Sync(), part.Close()); err != nil {
		return err
	}
	if err := os.Rename(part.Name(), path); err != nil {
		return err
	}
	return SyncDirs(filepath.Dir(path))
}

// SyncDirs makes the names in directories survive.
func SyncDirs(paths ...string) error {
	for _, path := range paths {
		dir, err := os.Open(path)
		if err != nil {
			return err
		}
		if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
			return err
		}
	}
	return nil
}
