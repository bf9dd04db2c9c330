//go:build linux

package container

import (
	"encoding/json"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// Config says how a process is to run.
type Config struct {
	Args []string
	Env  []string
	Dir  string // where it runs, "" for /
	User User

	// Hostname and Root are for Run; Exec uses the container's.
	Hostname string
	Root     Root
}

// User is who a process is, and what it may do.
type User struct {
	UID, GID int
	Groups   []int
	// Capabilities are those that it can have, by number, if its user is root.
	Capabilities []uintptr
	// NoNewPrivileges has it get none by executing programs.
	NoNewPrivileges bool
}

// Root is the file system of a container.
type Root struct {
	// Base is an existing folder, which the root is mounted at while it is made.
	Base     string
	ReadOnly bool
	// Mounts are made in this order.
	Mounts []Mount
}

// Mount shows a file or a folder of the machine in a container.
type Mount struct {
	Source, Target string
	ReadOnly       bool
}

const (
	configFD    = 3 + iota // has a Config in JSON
	namespaceFD            // is the network namespace for Run, a process of the container for Exec
)

// readConfig reads what the node has written. From then on, nothing that is executed gets more files than the standard ones,
// whatever the node has got from who started it.
func readConfig() (*Config, error) {
	if err := unix.CloseRange(configFD, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return nil, fmt.Errorf("closing files on exec: %w", err)
	}
	file := os.NewFile(configFD, "config")
	defer file.Close()
	c := &Config{}
	if err := json.NewDecoder(file).Decode(c); err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return c, nil
}
