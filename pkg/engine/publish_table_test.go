package engine

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/translate"
)

// TestTable: whatever has come and gone, a table is what its virtual hosts are, and its version that of one that was given these at once.
func TestTable(t *testing.T) {
	t.Parallel()
	key := graph.TableKey{Scope: graph.Key{Kind: graph.KindGateway, Namespace: "ns", Name: "gw"}, Port: 80}
	r := rand.New(rand.NewPCG(1, 2))
	table, hosts := newTable(key), map[string][]byte{}
	for range 300 {
		grows := r.IntN(3) > 0
		for range 1 + r.IntN(1<<r.IntN(9)) {
			domain := fmt.Sprintf("%04d.example.com", r.IntN(3000))
			host := fmt.Appendf(nil, "%s is %d", domain, r.Int())
			if !grows && r.IntN(3) > 0 {
				host = nil
				delete(hosts, domain)
			} else {
				hosts[domain] = host
			}
			table.set(domain, host, nil)
		}
		checkTable(t, key, table, hosts)
	}
	if len(table.chunks) < 5 {
		t.Errorf("with %d hosts, there are %d chunks", len(hosts), len(table.chunks))
	}
	for domain := range hosts {
		table.set(domain, nil, nil)
	}
	clear(hosts)
	checkTable(t, key, table, hosts)
}

func checkTable(t *testing.T, key graph.TableKey, table *table, hosts map[string][]byte) {
	t.Helper()
	got := table.assemble(key)
	if len(hosts) == 0 {
		if got != nil {
			t.Fatal("without hosts, there is something")
		}
		return
	}
	fresh := newTable(key)
	want := translate.TableHeader(key)
	for _, domain := range slices.Sorted(maps.Keys(hosts)) {
		fresh.set(domain, hosts[domain], nil)
		want = append(want, translate.TableHost(hosts[domain])...)
	}
	if got.Version() != fresh.assemble(key).Version() {
		t.Fatalf("with %d hosts, the version depends on what was before", len(hosts))
	}
	if !bytes.Equal(got.Any().GetValue(), want) {
		t.Fatalf("with %d hosts, the encoding is another one", len(hosts))
	}
}
