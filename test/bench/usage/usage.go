// Package usage reads what Linux says that a process uses, so that it can be measured without asking the process.
package usage

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ticks is how many units of CPU time Linux counts in a second (USER_HZ, proc_pid_stat(5)).
const ticks = 100

// CPU returns the CPU time that a process has used, in user mode and in the kernel.
func CPU(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return cpu(string(stat))
}

func cpu(stat string) (time.Duration, error) {
	// The second field is the name in parentheses, which may hold anything; utime and stime are fields 14 and 15.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/PID/stat is %q", stat)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / ticks, err
}

var sizes = regexp.MustCompile(`(?m)^(\w+):\s+(\d+) kB$`)

// Memory returns the resident set size of a process in bytes.
func Memory(pid int) (int64, error) { return size(pid, "VmRSS") }

// Anonymous returns how much of the resident set is the process's own: not pages of files, such as its binary.
func Anonymous(pid int) (int64, error) { return size(pid, "RssAnon") }

func size(pid int, name string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for _, found := range sizes.FindAllStringSubmatch(string(status), -1) {
		if found[1] == name {
			kib, err := strconv.ParseInt(found[2], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/PID/status names no %s", name)
}
