package usage

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
)

var model = regexp.MustCompile(`model name\s*:\s*(.+)`)

// Machine describes this machine in a line, as far as Linux says what it is, with how busy it has been in the last minute.
func Machine() string {
	processor := "unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if found := model.FindSubmatch(info); found != nil {
			processor = string(found[1])
		}
	}
	first := func(path string) string {
		b, _ := os.ReadFile(path)
		word, _, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
		return cmp.Or(word, "unknown")
	}
	return fmt.Sprintf("%s, %d cores, %s %s, %s, load average %s", processor, runtime.NumCPU(), runtime.GOOS,
		first("/proc/sys/kernel/osrelease"), runtime.Version(), first("/proc/loadavg"))
}
