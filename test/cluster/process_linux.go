package cluster

import "syscall"

// endWithParent has a process killed when the test ends without stopping it.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
