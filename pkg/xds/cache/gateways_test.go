package cache

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// gateways writes random updates after each of which all that a listener or a route table uses is there. A content is the name,
// what it uses, and a number; it ends with what is wrong with it.
type gateways struct {
	rand     *rand.Rand
	n        int64
	contents map[Name]string
	sound    bool // nothing is wrong
	all      bool // everything changes
}

// uses returns what a listener or a route table uses: the name of a table, or "-", and clusters.
func uses(typeURL, content string) (table string, clusters []string) {
	fields := strings.Fields(content)
	clusters = fields[1 : len(fields)-1]
	if typeURL == lds {
		return clusters[0], clusters[1:]
	}
	return "", clusters
}

func (g *gateways) some() string {
	var out strings.Builder
	for range g.rand.IntN(3) {
		fmt.Fprintf(&out, "c%d ", g.rand.IntN(6))
	}
	return out.String()
}

func (g *gateways) number() string {
	g.n++
	wrong := ""
	if !g.sound {
		wrong = []string{"", "", "", "", "", "", "!", "?"}[g.rand.IntN(8)]
	}
	return fmt.Sprintf("#%d%s", g.n, wrong)
}

func (g *gateways) update() Update {
	before := maps.Clone(g.contents)
	for i := range 3 {
		listener, table := Name{lds, fmt.Sprint("l", i)}, Name{rds, fmt.Sprint("r", i)}
		_, exists := g.contents[listener]
		switch {
		case exists && g.rand.IntN(8) == 0:
			delete(g.contents, listener)
			delete(g.contents, table)
			continue
		case !exists && g.rand.IntN(3) > 0:
			continue
		}
		if !exists || g.all || g.rand.IntN(2) == 0 {
			g.contents[table] = fmt.Sprintf("%s %s%s", table.Name, g.some(), g.number())
		}
		if !exists || g.all || g.rand.IntN(5) == 0 {
			uses := table.Name
			if g.rand.IntN(4) == 0 {
				uses = "-"
			}
			g.contents[listener] = fmt.Sprintf("%s %s %s%s", listener.Name, uses, g.some(), g.number())
		}
		if uses, _ := uses(lds, g.contents[listener]); uses == "-" {
			delete(g.contents, table)
		} else if g.contents[table] == "" {
			g.contents[table] = fmt.Sprintf("%s %s%s", table.Name, g.some(), g.number())
		}
	}
	used := map[string]bool{}
	for name, content := range g.contents {
		if name.TypeURL == lds || name.TypeURL == rds {
			_, clusters := uses(name.TypeURL, content)
			for _, c := range clusters {
				used[c] = true
			}
		}
	}
	for i := range 6 {
		name := fmt.Sprint("c", i)
		switch _, exists := g.contents[Name{cds, name}]; {
		case !used[name]:
			delete(g.contents, Name{cds, name})
			delete(g.contents, Name{eds, name})
		case !exists || g.rand.IntN(10) == 0:
			g.n++
			g.contents[Name{cds, name}] = fmt.Sprint(g.n)
			g.contents[Name{eds, name}] = fmt.Sprint(name, " ", g.n)
		}
	}
	var u Update
	for name, content := range g.contents {
		if before[name] != content {
			u.Set = append(u.Set, g.resource(name))
		}
	}
	for name := range before {
		if _, ok := g.contents[name]; !ok {
			u.Delete = append(u.Delete, name)
		}
	}
	slices.SortFunc(u.Set, func(a, b *Resource) int { return strings.Compare(a.TypeURL()+a.Name(), b.TypeURL()+b.Name()) })
	slices.SortFunc(u.Delete, func(a, b Name) int { return strings.Compare(a.TypeURL+a.Name, b.TypeURL+b.Name) })
	g.rand.Shuffle(len(u.Set), func(i, j int) { u.Set[i], u.Set[j] = u.Set[j], u.Set[i] })
	g.rand.Shuffle(len(u.Delete), func(i, j int) { u.Delete[i], u.Delete[j] = u.Delete[j], u.Delete[i] })
	return u
}

// rejectedElsewhere has a client of another replica reject a listener or a route table of this one, which that replica serves
// another version of instead, be it one that was never published here.
func (g *gateways) rejectedElsewhere(c *Cache, name Name, content string) string {
	good := name.Name + " "
	if name.TypeURL == lds {
		good += []string{"-", "r" + name.Name[1:]}[g.rand.IntN(2)] + " "
	}
	var needs []*Resource
	for range g.rand.IntN(4) {
		cluster := fmt.Sprint("c", g.rand.IntN(9))
		good += cluster + " "
		g.n++
		needs = append(needs, edsCluster(cluster, g.n), res(eds, cluster, cluster+" elsewhere"))
	}
	good += g.number()
	c.Park("s", name, resourceOf(name, content).Version(), res(name.TypeURL, name.Name, good), needs...)
	return fmt.Sprintf("rejected elsewhere: %s, good is %s", content, good)
}

// anyConsumer returns the name of a listener or a route table, if there is one.
func (g *gateways) anyConsumer(contents map[Name]string) (name Name, ok bool) {
	var all []Name
	for _, typeURL := range []string{lds, rds} {
		for i := range 3 {
			name := Name{typeURL, fmt.Sprint(map[string]string{lds: "l", rds: "r"}[typeURL], i)}
			if contents[name] != "" {
				all = append(all, name)
			}
		}
	}
	if len(all) == 0 {
		return Name{}, false
	}
	return all[g.rand.IntN(len(all))], true
}

func (g *gateways) resource(name Name) *Resource { return resourceOf(name, g.contents[name]) }

func resourceOf(name Name, content string) *Resource {
	if name.TypeURL != cds {
		return res(name.TypeURL, name.Name, content)
	}
	var n int64
	if _, err := fmt.Sscan(content, &n); err != nil {
		panic(err)
	}
	return edsCluster(name.Name, n)
}
