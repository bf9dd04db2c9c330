//go:build !linux

package cluster

import "syscall"

// endWithParent can't have a process killed with the test here; an interrupt from the terminal reaches both.
func endWithParent() *syscall.SysProcAttr { return nil }
