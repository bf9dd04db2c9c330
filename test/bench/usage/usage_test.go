package usage

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestCPU(t *testing.T) {
	t.Parallel()
	got, err := cpu("42 (a) b) (c) S 1 42 42 0 -1 4194304 1 0 0 0 250 50 7 7 20 0 9 0 100 1000 200")
	if want := 3 * time.Second; err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if _, err := cpu("42 (a) S 1"); err == nil {
		t.Error("want an error for what isn't /proc/PID/stat")
	}
}

// TestSelf reads of this process what Go knows, too.
func TestSelf(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	if _, err := CPU(os.Getpid()); err != nil {
		t.Error(err)
	}
	anonymous, err := Anonymous(os.Getpid())
	if err != nil || anonymous <= 0 {
		t.Errorf("anonymous memory: %d, %v", anonymous, err)
	}
	got, err := Memory(os.Getpid())
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if err != nil || got < anonymous/2 || got < int64(m.HeapInuse)/2 || got > 64<<30 {
		t.Errorf("got %d, %v, with %d bytes of heap in use", got, err, m.HeapInuse)
	}
}
