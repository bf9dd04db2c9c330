package graph

import (
	"fmt"
	"testing"
	"time"
)

func TestTmpScale(t *testing.T) {
	g := graphOf(t, ourClass, openGateway)
	g.Apply(tlsSecret("default/c", keyPairs().a))
	for i := range 1000 {
		apply(t, g, setOf(fmt.Sprintf("default/set%04d", i), i%60, fmt.Sprintf("{name: l, port: 443, protocol: HTTPS, hostname: h%d.example.com, tls: {certificateRefs: [{name: c}]}}", i)))
	}
	obj := parse(t, setOf("default/set0500", 5, "{name: l, port: 443, protocol: HTTPS, hostname: hh.example.com, tls: {certificateRefs: [{name: c}]}}"))[0]
	start := time.Now()
	g.NeededBy(obj)
	t.Log("needed", time.Since(start))
	start = time.Now()
	g.Apply(obj)
	t.Log("apply", time.Since(start))
	start = time.Now()
	g.Scope(key(KindGateway, "default/gw"))
	t.Log("scope", time.Since(start))
}
