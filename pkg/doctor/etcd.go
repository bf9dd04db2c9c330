package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The metrics of package maintenance, each with the label member, but for the last one.
const (
	sizeMetric        = "gateway_apiserver_etcd_db_size_bytes"
	quotaMetric       = "gateway_apiserver_etcd_db_quota_bytes"
	alarmsMetric      = "gateway_apiserver_etcd_alarms"
	unreachableMetric = "gateway_apiserver_etcd_endpoints_unreachable"
)

// roomFix is for an etcd that has no space left, or soon.
const roomFix = "delete objects that nobody needs, or give etcd a larger --quota-backend-bytes; an embedded etcd then recovers by itself, any other needs \"etcdctl defrag\" and \"etcdctl alarm disarm\""

// checkEtcd looks at the health and the space of etcd, as replicas see it.
func (d *doctor) checkEtcd() {
	members := map[string]map[string]float64{} // by member and metric
	for _, r := range d.replicas {
		for _, metric := range []string{sizeMetric, quotaMetric} {
			for _, s := range r.samples(metric) {
				member := s.labels["member"]
				if members[member] == nil {
					members[member] = map[string]float64{}
				}
				members[member][metric] = s.value
			}
		}
		for _, s := range r.samples(unreachableMetric) {
			if s.value > 0 {
				d.find(etcdCheck, Failed, "see whether all members of etcd run, and whether the replica reaches them", "%s does not reach %.0f endpoints of etcd", r.name, s.value)
			}
		}
	}
	if len(members) == 0 {
		d.find(etcdCheck, NotChecked, "see the findings about replicas, of which one must answer; their metrics say it once they have asked etcd, within half a minute",
			"no replica says how etcd is")
		return
	}
	d.checkAlarms()
	var sizes []string
	for _, member := range slices.Sorted(maps.Keys(members)) {
		size, quota := members[member][sizeMetric], members[member][quotaMetric]
		if quota > 0 && size > 0.8*quota {
			d.find(etcdCheck, Warning, roomFix, "the database of etcd member %s has %s, of at most %s", member, mebibytes(size), mebibytes(quota))
		}
		sizes = append(sizes, member+" "+mebibytes(size))
	}
	d.fine(etcdCheck, "no alarms; sizes of the databases: %s", strings.Join(sizes, ", "))
}

// checkAlarms reports each alarm once, whoever has seen it.
func (d *doctor) checkAlarms() {
	seen := map[string]bool{}
	for _, r := range d.replicas {
		for _, s := range r.samples(alarmsMetric) {
			member, alarm := s.labels["member"], s.labels["alarm"]
			if s.value == 0 || seen[member+alarm] {
				continue
			}
			seen[member+alarm] = true
			fix := "restore etcd from a backup: see \"gateway-apiserver restore --help\""
			if alarm == "NOSPACE" {
				fix = roomFix
			}
			d.find(etcdCheck, Failed, fix, "etcd member %s has raised the alarm %s", member, alarm)
		}
	}
}

func mebibytes(bytes float64) string { return fmt.Sprintf("%.1f MiB", bytes/(1<<20)) }

// joinSorted joins words in an order that is always the same.
func joinSorted(words []string) string {
	slices.Sort(words)
	return strings.Join(words, ", ")
}
