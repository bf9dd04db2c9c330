package doctor

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	leaderMetric = "gateway_apiserver_leader"
	buildMetric  = "kubernetes_build_info"
)

const logFix = "see the log of the replica"

// revisionPath is a list of which the answer is current: from etcd, not from a replica's memory.
const revisionPath = "/apis/gateway.networking.k8s.io/v1/gatewayclasses?limit=1"

// checkReplicas looks whether all replicas are ready, and one and the same server.
func (d *doctor) checkReplicas(ctx context.Context) {
	if len(d.replicas) == 0 {
		return // which was a finding
	}
	for _, r := range d.replicas {
		if r.client == nil {
			switch untrusted := new(tls.CertificateVerificationError); {
			case errors.As(r.refused, &untrusted):
				d.find(replicasCheck, NotChecked, "see the findings about certificates", "%s is not asked: it cannot be trusted", r.name)
			case errors.Is(r.refused, errNoBundle):
				d.find(replicasCheck, NotChecked, "see the findings about apiservices", "%s is not asked: %v", r.name, r.refused)
			default:
				d.find(replicasCheck, Failed, logFix, "%s does not answer: %v", r.name, r.refused)
			}
			continue
		}
		d.checkReady(ctx, r)
		if r.metricsErr != nil {
			d.find(replicasCheck, NotChecked, "run this as somebody who may get the non-resource URL /metrics", "the metrics of %s: %v", r.name, r.metricsErr)
		}
	}
	d.checkLeader()
	d.checkVersions()
	d.checkRevisions(ctx)
	if len(d.replicas) == 1 {
		d.fine(replicasCheck, "1 replica is ready, and leads")
	}
	d.fine(replicasCheck, "%d replicas are ready, one leads, and they agree on what is stored", len(d.replicas))
}

// failing finds the checks that fail in the answer of /readyz?verbose.
var failing = regexp.MustCompile(`(?m)^\[-\](\S+) failed`)

func (d *doctor) checkReady(ctx context.Context, r *replica) {
	_, _, err := r.get(ctx, "/readyz?verbose")
	if err == nil {
		return
	}
	if answered := new(statusError); errors.As(err, &answered) {
		var checks []string
		for _, match := range failing.FindAllStringSubmatch(answered.body, -1) {
			checks = append(checks, match[1])
		}
		d.find(replicasCheck, Failed, logFix, "%s is not ready: %s", r.name, strings.Join(checks, ", "))
		return
	}
	d.find(replicasCheck, Failed, logFix, "%s: %v", r.name, err)
}

// checkLeader looks whether one replica settles what other replicas' writes leave behind.
func (d *doctor) checkLeader() {
	var leaders []string
	for _, r := range d.replicas {
		if r.metricsErr != nil {
			return // which may be the leader
		}
		for _, s := range r.samples(leaderMetric) {
			if s.value == 1 {
				leaders = append(leaders, r.name)
			}
		}
	}
	const again = "wait half a minute and run this again; "
	switch {
	case len(leaders) == 0 && len(d.Servers) > 0:
		d.find(replicasCheck, Warning, again+"give all replicas with --server, if these are not all", "none of the given replicas leads")
	case len(leaders) == 0:
		d.find(replicasCheck, Failed, again+"then see the logs of the replicas for \"leader\"", "no replica leads: statuses may be out of date")
	case len(leaders) > 1:
		d.find(replicasCheck, Warning, again+"then look whether all replicas have the same etcd", "%s lead at the same time", strings.Join(leaders, " and "))
	}
}

func (d *doctor) checkVersions() {
	versions := map[string]string{} // a replica by its version
	for _, r := range d.replicas {
		for _, s := range r.samples(buildMetric) {
			versions[s.labels["git_version"]] = r.name
		}
	}
	if len(versions) < 2 {
		return
	}
	var said []string
	for version, name := range versions {
		said = append(said, name+" is "+version)
	}
	d.find(replicasCheck, Warning, "finish the upgrade", "not all replicas have the same version: %s", joinSorted(said))
}

// checkRevisions asks each replica for etcd's revision, and the first one again. If they have the same etcd, it never
// falls.
func (d *doctor) checkRevisions(ctx context.Context) {
	var last uint64
	var from string
	for _, r := range append(d.replicas, d.replicas[0]) {
		if r.client == nil {
			continue
		}
		revision, err := r.revision(ctx)
		if answered := new(statusError); errors.As(err, &answered) && answered.code == http.StatusForbidden {
			d.find(replicasCheck, NotChecked, "run this as somebody who may list GatewayClasses", "whether all replicas have the same etcd: %v", err)
			return
		}
		if err != nil {
			d.find(replicasCheck, Failed, logFix, "%s does not say what is stored: %v", r.name, err)
			return
		}
		if revision < last {
			d.find(replicasCheck, Failed, "give all replicas the same --etcd-servers, or --embedded-etcd-peers",
				"%s is at revision %d of etcd, after %s was at %d: they have different etcds", r.name, revision, from, last)
			return
		}
		last, from = revision, r.name
	}
}

func (r *replica) revision(ctx context.Context) (uint64, error) {
	body, _, err := r.get(ctx, revisionPath)
	if err != nil {
		return 0, err
	}
	var list struct {
		metav1.ListMeta `json:"metadata"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return 0, fmt.Errorf("%s: %w", revisionPath, err)
	}
	revision, err := strconv.ParseUint(list.ResourceVersion, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s has no resourceVersion: %w", revisionPath, err)
	}
	return revision, nil
}
