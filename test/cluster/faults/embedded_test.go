package faults

import (
	"testing"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

// TestEmbeddedEtcd loses a member of three, with its disk, while clients write to the others.
func TestEmbeddedEtcd(t *testing.T) {
	t.Parallel()
	kube := cluster.Start(t)
	installed, err := kube.InstallEmbedded(t.Context(), 3, cluster.InstallOptions{Flags: []string{"--channel=experimental"}})
	if err != nil {
		t.Fatal(err)
	}
	s := newScene(t, kube, installed)
	s.begin(installed.Replicas...)
	victim := s.leader(installed.Replicas...)
	var others []*cluster.Replica
	for _, r := range installed.Replicas {
		if r != victim {
			others = append(others, r)
		}
	}
	s.must(victim.Kill())
	s.progressWithout(victim)
	s.must(victim.Wipe(), victim.Start(t.Context()))
	s.progress(s.clients...)
	s.check(victim, others...)
}
