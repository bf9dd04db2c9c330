package clients

import (
	"os"
	"testing"
	"time"
)

func TestHang(t *testing.T) {
	os.WriteFile("/tmp/clients-build/cluster", []byte(kube.Dir), 0o600)
	for {
		if _, err := os.Stat("/tmp/clients-build/stop"); err == nil {
			return
		}
		time.Sleep(time.Second)
	}
}
