package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/rest"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/install"
)

// maxBody is more than the metrics of any server.
const maxBody = 64 << 20

// replica is one of the servers, and what it says of itself.
type replica struct {
	name string
	url  *url.URL
	// client has the credentials of who runs this. It is nil if the replica could not be reached or trusted, which refused
	// says.
	client      *http.Client
	refused     error
	certificate *x509.Certificate
	// metrics are by name; metricsErr is why there are none.
	metrics    map[string]*dto.MetricFamily
	metricsErr error
}

// newReplica verifies the certificate of a replica as kube-apiserver does, then asks for its metrics.
func (d *doctor) newReplica(ctx context.Context, name string, at *url.URL) *replica {
	r := &replica{name: name, url: at}
	serverName := install.Name + "." + d.Namespace + ".svc"
	if r.certificate, r.refused = handshake(ctx, at.Host, serverName, d.caBundle); r.refused != nil {
		r.metricsErr = r.refused
		return r
	}
	config := rest.CopyConfig(d.config)
	config.Host, config.APIPath = at.String(), ""
	config.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil } // what there is of them leads to kube-apiserver
	config.Insecure, config.CAFile, config.CAData, config.ServerName = false, "", d.caBundle, serverName
	config.Timeout = timeout
	if r.client, r.refused = rest.HTTPClientFor(config); r.refused != nil {
		r.metricsErr = r.refused
		return r
	}
	body, _, err := r.get(ctx, "/metrics")
	if err != nil {
		r.metricsErr = err
		return r
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	r.metrics, r.metricsErr = parser.TextToMetricFamilies(bytes.NewReader(body))
	return r
}

// counted says how many replicas.
func counted(replicas int) string {
	if replicas == 1 {
		return "1 replica"
	}
	return fmt.Sprintf("%d replicas", replicas)
}

var errNoBundle = errors.New("no APIService has a caBundle to verify it by")

// handshake returns the certificate that a server shows, if the CAs in bundle have issued it for a name.
func handshake(ctx context.Context, address, serverName string, bundle []byte) (*x509.Certificate, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return nil, errNoBundle
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: serverName, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// statusError is an answer other than 200.
type statusError struct {
	path string
	code int
	body string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s answers %d %s", e.path, e.code, http.StatusText(e.code))
}

func (r *replica) get(ctx context.Context, path string) ([]byte, http.Header, error) {
	return get(ctx, r.client, r.url, path)
}

// get reads a path of a server. An answer other than 200 is a statusError.
func get(ctx context.Context, client *http.Client, server *url.URL, path string) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(server.String(), "/")+path, nil)
	if err != nil {
		return nil, nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err == nil && response.StatusCode != http.StatusOK {
		err = &statusError{path, response.StatusCode, string(body)}
	}
	return body, response.Header, err
}

// sample is a value of a metric.
type sample struct {
	labels map[string]string
	value  float64
}

// samples returns the values of a gauge or counter.
func (r *replica) samples(name string) []sample {
	var found []sample
	for _, m := range r.metrics[name].GetMetric() {
		s := sample{labels: map[string]string{}, value: m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()}
		for _, label := range m.GetLabel() {
			s.labels[label.GetName()] = label.GetValue()
		}
		found = append(found, s)
	}
	return found
}

// clock is how far the clock of a server is ahead of ours, at least; what cannot be told from the delay of its answer
// counts as nothing.
func clock(ctx context.Context, client *http.Client, server *url.URL, path string) (time.Duration, error) {
	before := time.Now()
	_, header, err := get(ctx, client, server, path)
	after := time.Now()
	if answered := new(statusError); err != nil && !errors.As(err, &answered) {
		return 0, err
	}
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return 0, fmt.Errorf("%s tells no time: %w", path, err)
	}
	return skew(before, after, date), nil
}

// skew is how far a clock is ahead that showed date, which has whole seconds, at some time between before and after.
func skew(before, after, date time.Time) time.Duration {
	switch {
	case date.After(after):
		return date.Sub(after)
	case date.Add(time.Second).Before(before):
		return date.Add(time.Second).Sub(before)
	}
	return 0
}
