package doctor

import (
	"context"
	"net/url"
	"time"

	"k8s.io/client-go/rest"
)

// maxSkew is how far clocks may be apart. Certificates and tokens are valid from the second on in which they are made.
const maxSkew = 5 * time.Second

const clockFix = "have its clock set from the network, for example with chrony"

// checkClocks compares the clocks of the replicas and of this machine with that of kube-apiserver.
func (d *doctor) checkClocks(ctx context.Context) {
	host, _, err := rest.DefaultServerUrlFor(d.config)
	var kube time.Duration
	if err == nil {
		client, failed := rest.HTTPClientFor(d.config)
		if err = failed; err == nil {
			kube, err = clock(ctx, client, &url.URL{Scheme: host.Scheme, Host: host.Host, Path: host.Path}, "/version")
		}
	}
	if err != nil {
		d.find(clockCheck, NotChecked, "see why kube-apiserver cannot be asked", "the clock of kube-apiserver: %v", err)
		return
	}
	if kube.Abs() > maxSkew {
		d.find(clockCheck, Warning, clockFix, "the clock of this machine is %v %s that of kube-apiserver", kube.Abs().Round(time.Second), direction(-kube))
	}
	compared := 0
	for _, r := range d.replicas {
		if r.client == nil {
			continue
		}
		ahead, err := clock(ctx, r.client, r.url, "/readyz")
		if err != nil {
			d.find(clockCheck, NotChecked, logFix, "the clock of %s: %v", r.name, err)
			continue
		}
		compared++
		if apart := ahead - kube; apart.Abs() > maxSkew {
			d.find(clockCheck, Failed, clockFix, "the clock of %s is %v %s that of kube-apiserver", r.name, apart.Abs().Round(time.Second), direction(apart))
		}
	}
	if compared == 0 {
		d.find(clockCheck, NotChecked, giveServers, "the clocks of the replicas: none was reached")
	}
	d.fine(clockCheck, "those of kube-apiserver, %s and this machine agree", counted(compared))
}

func direction(ahead time.Duration) string {
	if ahead > 0 {
		return "ahead of"
	}
	return "behind"
}
