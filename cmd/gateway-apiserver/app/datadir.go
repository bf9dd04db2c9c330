package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/durable"
)

// defaultDataDir is the data directory of a standalone server.
const defaultDataDir = ".gateway-apiserver"

// pkiDir is where in a data directory the CA is.
const pkiDir = "pki"

// markerFile tells a data directory of ours from any other directory, and its layout from those of other versions.
const markerFile = "gateway-apiserver.json"

// lockFile is locked while a process has the directory.
const lockFile = "lock"

// dataFormat is the layout of the data directory that this version writes and reads.
const dataFormat = 1

type marker struct {
	Format int `json:"format"`
}

// dataDir is a data directory that this process has for itself.
type dataDir struct {
	path string
	lock *os.File
}

// openDataDir takes a data directory, making it if it is missing. The lock goes with the process, however it ends.
func openDataDir(path string) (*dataDir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, fmt.Errorf("--data-dir: %w", err)
	}
	// Before the lock, which would be the first file in a directory that is not ours.
	fresh, err := checkMarker(abs)
	if err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(abs, lockFile), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--data-dir: %w", err)
	}
	d := &dataDir{path: abs, lock: lock}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		d.close()
		return nil, fmt.Errorf("--data-dir %s is in use by another gateway-apiserver: stop that one, or choose another directory", path)
	}
	if fresh {
		if err := d.mark(); err != nil {
			d.close()
			return nil, fmt.Errorf("--data-dir: %w", err)
		}
	}
	return d, nil
}

// checkMarker refuses a directory that has other things in it, or a layout that this version doesn't know. A fresh one
// is empty, but for the lock of a process that died before it marked it.
func checkMarker(dir string) (fresh bool, err error) {
	content, err := os.ReadFile(filepath.Join(dir, markerFile))
	if errors.Is(err, fs.ErrNotExist) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return false, fmt.Errorf("--data-dir: %w", err)
		}
		for _, e := range entries {
			if e.Name() != lockFile && e.Name() != markerFile+durable.PartSuffix {
				return false, fmt.Errorf("--data-dir %s is not a data directory of gateway-apiserver (it is not empty and has no %s): choose an empty or a new directory", dir, markerFile)
			}
		}
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("--data-dir: %w", err)
	}
	var m marker
	if err := json.Unmarshal(content, &m); err != nil {
		return false, fmt.Errorf("--data-dir %s is damaged: reading %s: %w", dir, markerFile, err)
	}
	if m.Format != dataFormat {
		return false, fmt.Errorf("--data-dir %s has format %d, and this version of gateway-apiserver knows only format %d: use the version that wrote it", dir, m.Format, dataFormat)
	}
	return false, nil
}

// mark makes the directory ours, whole or not at all.
func (d *dataDir) mark() error {
	content, err := json.Marshal(marker{Format: dataFormat})
	if err != nil {
		return err
	}
	return durable.WriteFile(d.in(markerFile), append(content, '\n'))
}

// in is a path in the directory.
func (d *dataDir) in(names ...string) string {
	return filepath.Join(append([]string{d.path}, names...)...)
}

// made is when the directory became ours.
func (d *dataDir) made() (time.Time, error) {
	info, err := os.Stat(d.in(markerFile))
	if err != nil {
		return time.Time{}, fmt.Errorf("--data-dir: %w", err)
	}
	return info.ModTime(), nil
}

func (d *dataDir) close() { d.lock.Close() }
