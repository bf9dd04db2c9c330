package cluster

import (
	"testing"
	"time"
)

func TestSmoke(t *testing.T) {
	begin := time.Now()
	c := Start(t)
	t.Log("cluster", time.Since(begin))
	i, err := c.Install(t.Context(), InstallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("installed", time.Since(begin))
	out, err := c.Kubectl(t.Context(), "get", "apiservices")
	t.Log(out, err)
	for _, r := range i.Replicas {
		t.Log(r.tail())
	}
}
