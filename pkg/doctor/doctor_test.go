package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/rest"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/install"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

// said lists findings as "level check: message".
func said(d *doctor) []string {
	var lines []string
	for _, f := range d.findings {
		lines = append(lines, fmt.Sprintf("%s %s: %s", f.Level, f.Check, f.Message))
		if (f.Level == OK) != (f.Fix == "") {
			lines = append(lines, "what to do: "+f.Fix)
		}
	}
	return lines
}

func TestExamine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*apiregistrationv1.APIService)
		want   []string
	}{
		{"as it should be", func(*apiregistrationv1.APIService) {}, nil},
		{"of the CRDs", func(s *apiregistrationv1.APIService) { s.Spec.Service = nil }, []string{"failed served by CustomResourceDefinitions, not by the server"}},
		{"of another server", func(s *apiregistrationv1.APIService) { s.Spec.Service.Namespace = "b" }, []string{"failed point to the Service b/gateway-apiserver, which is another server"}},
		{"another port", func(s *apiregistrationv1.APIService) { s.Spec.Service.Port = new(int32) }, []string{"failed do not point to port 443 of the Service"}},
		{"no port", func(s *apiregistrationv1.APIService) { s.Spec.Service.Port = nil }, []string{"failed do not point to port 443 of the Service"}},
		{"insecure", func(s *apiregistrationv1.APIService) { s.Spec.InsecureSkipTLSVerify, s.Spec.CABundle = true, nil },
			[]string{"failed insecureSkipTLSVerify, with which anybody in between can read and change everything", "failed no caBundle, without which kube-apiserver cannot trust the server"}},
		{"another CA", func(s *apiregistrationv1.APIService) { s.Spec.CABundle = []byte("b") }, []string{"warning another caBundle than the others"}},
		{"not available", func(s *apiregistrationv1.APIService) {
			s.Status.Conditions[0].Status, s.Status.Conditions[0].Message = apiregistrationv1.ConditionFalse, "no endpoints"
		}, []string{"failed not available (no endpoints)"}},
		{"not asked yet", func(s *apiregistrationv1.APIService) { s.Status.Conditions = nil }, []string{"failed not available (kube-apiserver has not asked it yet)"}},
		{"not asked since it was of the CRDs", func(s *apiregistrationv1.APIService) { s.Status.Conditions[0].Reason = "Local" },
			[]string{"failed not available (kube-apiserver has not asked it yet)"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := &doctor{registration: install.Registration{Namespace: "a", Port: 443}, caBundle: []byte("a")}
			if found := d.examine(nil); len(found) != 1 || found[0].level != Failed {
				t.Errorf("one that is missing: %v", found)
			}
			service := d.registration.APIServices()[0]
			service.Spec.CABundle = []byte("a")
			service.Status.Conditions = []apiregistrationv1.APIServiceCondition{{Type: apiregistrationv1.Available, Status: apiregistrationv1.ConditionTrue}}
			test.change(service)
			var got []string
			for _, found := range d.examine(service) {
				got = append(got, string(found.level)+" "+found.what+found.detail)
				if found.fix == "" {
					t.Errorf("%s: nothing to do", found.what)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("what is the matter (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCommonBundle is that the APIService which is unlike the others is the one that is found, wherever it is.
func TestCommonBundle(t *testing.T) {
	t.Parallel()
	for odd := range len(install.GroupVersions()) {
		d := &doctor{registration: install.Registration{Namespace: "a", Port: 443}}
		services := d.registration.APIServices()
		for i, service := range services {
			service.Spec.CABundle = []byte("right")
			service.Status.Conditions = []apiregistrationv1.APIServiceCondition{{Type: apiregistrationv1.Available, Status: apiregistrationv1.ConditionTrue}}
			if i == odd {
				service.Spec.CABundle = []byte("wrong")
			}
		}
		d.caBundle = d.commonBundle(append(services, nil))
		for i, service := range services {
			if found := d.examine(service); (len(found) > 0) != (i == odd) {
				t.Errorf("number %d is wrong: of number %d found %v", odd, i, found)
			}
		}
	}
	d := &doctor{registration: install.Registration{Namespace: "a", Port: 443}}
	if got := d.commonBundle(d.registration.APIServices()); got != nil {
		t.Errorf("without any: got %q", got)
	}
}

// withMetrics is a replica that has answered.
func withMetrics(t *testing.T, name, text string) *replica {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	found, err := parser.TextToMetricFamilies(strings.NewReader(strings.TrimSpace(text) + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return &replica{name: name, metrics: found}
}

func TestEtcd(t *testing.T) {
	t.Parallel()
	const full = `
gateway_apiserver_etcd_db_size_bytes{member="m0"} 1.048576e+07
gateway_apiserver_etcd_db_quota_bytes{member="m0"} 1.1e+07
gateway_apiserver_etcd_alarms{member="m0",alarm="NOSPACE"} 1
gateway_apiserver_etcd_alarms{member="m0",alarm="CORRUPT"} 0
gateway_apiserver_etcd_endpoints_unreachable 2`
	const well = `
gateway_apiserver_etcd_db_size_bytes{member="m0"} 1.048576e+07
gateway_apiserver_etcd_db_quota_bytes{member="m0"} 2.1e+09
gateway_apiserver_etcd_endpoints_unreachable 0`
	const old = `gateway_apiserver_etcd_db_size_bytes{member="m1"} 2.097152e+06`
	for _, test := range []struct {
		name    string
		metrics []string
		want    []string
	}{
		{"nobody", nil, []string{"not checked etcd: no replica says how etcd is"}},
		{"other metrics", []string{"a 1"}, []string{"not checked etcd: no replica says how etcd is"}},
		{"well, and seen by two", []string{well, well}, []string{"ok etcd: no alarms; sizes of the databases: m0 10.0 MiB"}},
		{"without a quota", []string{well, old}, []string{"ok etcd: no alarms; sizes of the databases: m0 10.0 MiB, m1 2.0 MiB"}},
		{"full, and seen by two", []string{full, full}, []string{
			"failed etcd: r0 does not reach 2 endpoints of etcd",
			"failed etcd: r1 does not reach 2 endpoints of etcd",
			"failed etcd: etcd member m0 has raised the alarm NOSPACE",
			"warning etcd: the database of etcd member m0 has 10.0 MiB, of at most 10.5 MiB",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := &doctor{}
			for i, text := range test.metrics {
				d.replicas = append(d.replicas, withMetrics(t, fmt.Sprintf("r%d", i), text))
			}
			d.checkEtcd()
			if diff := cmp.Diff(test.want, said(d)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLeaderAndVersions(t *testing.T) {
	t.Parallel()
	const leads, follows = "gateway_apiserver_leader 1", "gateway_apiserver_leader 0"
	const older, newer = "\n" + `kubernetes_build_info{git_version="v1"} 1`, "\n" + `kubernetes_build_info{git_version="v2"} 1`
	for _, test := range []struct {
		name    string
		servers []string
		metrics []string
		want    []string
	}{
		{"one", nil, []string{follows, leads}, nil},
		{"none", nil, []string{follows, follows}, []string{"failed replicas: no replica leads: statuses may be out of date"}},
		{"none of some", []string{"https://a:1"}, []string{follows}, []string{"warning replicas: none of the given replicas leads"}},
		{"two", nil, []string{leads, follows, leads}, []string{"warning replicas: r0 and r2 lead at the same time"}},
		{"two versions", nil, []string{leads + newer, follows + older}, []string{"warning replicas: not all replicas have the same version: r0 is v2, r1 is v1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := &doctor{Options: Options{Servers: test.servers}}
			for i, text := range test.metrics {
				d.replicas = append(d.replicas, withMetrics(t, fmt.Sprintf("r%d", i), text))
			}
			d.checkLeader()
			d.checkVersions()
			if diff := cmp.Diff(test.want, said(d)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// answering is a replica that answers each request for path with the next answer.
func answering(t *testing.T, name, path string, code int, answers ...string) *replica {
	t.Helper()
	var next atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i := int(next.Add(1)) - 1
		if r.URL.RequestURI() != path || i >= len(answers) {
			t.Errorf("%s is asked for %s, request %d", name, r.URL, i+1)
			return
		}
		w.WriteHeader(code)
		fmt.Fprint(w, answers[i])
	}))
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &replica{name: name, url: at, client: server.Client()}
}

func TestRevisions(t *testing.T) {
	t.Parallel()
	at := func(revision string) string { return `{"metadata":{"resourceVersion":"` + revision + `"}}` }
	for _, test := range []struct {
		name          string
		first, second []string
		code          int
		want          []string
	}{
		{"the same etcd, in use", []string{at("9"), at("11")}, []string{at("10")}, 200, nil},
		{"the second has an older one", []string{at("9")}, []string{at("5")}, 200,
			[]string{"failed replicas: r1 is at revision 5 of etcd, after r0 was at 9: they have different etcds"}},
		{"the second has a newer one", []string{at("9"), at("9")}, []string{at("50")}, 200,
			[]string{"failed replicas: r0 is at revision 9 of etcd, after r1 was at 50: they have different etcds"}},
		{"nobody may ask", []string{""}, nil, 403,
			[]string{"not checked replicas: whether all replicas have the same etcd: " + revisionPath + " answers 403 Forbidden"}},
		{"etcd is down", []string{""}, nil, 500,
			[]string{"failed replicas: r0 does not say what is stored: " + revisionPath + " answers 500 Internal Server Error"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := &doctor{replicas: []*replica{
				answering(t, "r0", revisionPath, test.code, test.first...), answering(t, "r1", revisionPath, test.code, test.second...),
			}}
			d.checkRevisions(t.Context())
			if diff := cmp.Diff(test.want, said(d)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	const verbose = "/readyz?verbose"
	d := &doctor{}
	d.checkReady(t.Context(), answering(t, "r0", verbose, 200, "[+]ping ok\nreadyz check passed\n"))
	d.checkReady(t.Context(), answering(t, "r1", verbose, 500, "[+]ping ok\n[-]etcd failed: reason withheld\n[-]model failed: reason withheld\nreadyz check failed\n"))
	if diff := cmp.Diff([]string{"failed replicas: r1 is not ready: etcd, model"}, said(d)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := &x509.Certificate{NotBefore: start, NotAfter: start.Add(100 * time.Hour)}
	for after, want := range map[time.Duration][]string{
		79 * time.Hour:  nil,
		81 * time.Hour:  {"warning certificates: it expires in 19h0m0s, at 2026-01-05T04:00:00Z"},
		101 * time.Hour: {"failed certificates: it has expired at 2026-01-05T04:00:00Z"},
	} {
		d := &doctor{}
		d.checkExpiry(certificatesCheck, "it", c, start.Add(after), "renew it")
		if diff := cmp.Diff(want, said(d)); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", after, diff)
		}
	}
}

func TestSkew(t *testing.T) {
	t.Parallel()
	before := time.Date(2026, 1, 1, 12, 0, 10, 900e6, time.UTC)
	after := before.Add(3 * time.Second)
	for _, test := range []struct {
		date string
		want time.Duration
	}{
		{"12:00:10", 0}, // began before, ended after
		{"12:00:13", 0},
		{"12:00:09", -900 * time.Millisecond}, // at most 12:00:10
		{"12:00:14", 100 * time.Millisecond},
		{"12:01:13", time.Minute - 900*time.Millisecond},
		{"11:59:09", -time.Minute - 900*time.Millisecond},
	} {
		date, err := time.Parse(time.DateTime, "2026-01-01 "+test.date)
		if err != nil {
			t.Fatal(err)
		}
		if got := skew(before, after, date); got != test.want {
			t.Errorf("%s: got %v, want %v", test.date, got, test.want)
		}
	}
}

func TestParseServer(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"https://127.0.0.1:6443":  "https://127.0.0.1:6443",
		"https://a.example:6443/": "https://a.example:6443",
		"[::1]:6443":              "https://[::1]:6443",
		"a:6443":                  "https://a:6443",
		"http://a:6443":           "",
		"https://a":               "",
		"https://a:1/b":           "",
		"https://u:p@a:1":         "",
		"":                        "",
	} {
		u, err := ParseServer(s)
		if got := fmt.Sprint(u); err == nil && got != want || err != nil && want != "" {
			t.Errorf("%q: got %v, %v, want %q", s, u, err, want)
		}
	}
}

// TestCredentials is that only a server with a certificate that the caBundle verifies, for the right name, gets them.
func TestCredentials(t *testing.T) {
	t.Parallel()
	ca, other := newCA(t, "ca"), newCA(t, "other")
	const name = "gateway-apiserver.a.svc"
	for _, test := range []struct {
		test    string
		issuer  *pki.CA
		name    string
		bundle  []byte
		trusted bool
	}{
		{"verified", ca, name, ca.PEM(), true},
		{"another CA", other, name, ca.PEM(), false},
		{"another name", ca, "gateway-apiserver.b.svc", ca.PEM(), false},
		{"no caBundle", ca, name, nil, false},
	} {
		t.Run(test.test, func(t *testing.T) {
			t.Parallel()
			got := make(chan string, 1)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got <- r.Header.Get("Authorization") + " " + r.URL.Path
				fmt.Fprintln(w, "gateway_apiserver_leader 1")
			}))
			server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes are meant to fail
			server.TLS = &tls.Config{Certificates: []tls.Certificate{serving(t, test.issuer, test.name)}}
			server.StartTLS()
			defer server.Close()
			at, err := url.Parse(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			d := &doctor{Options: Options{Namespace: "a"}, caBundle: test.bundle, config: &rest.Config{
				Host: "https://kube.example", BearerToken: "secret",
				Proxy: func(r *http.Request) (*url.URL, error) {
					t.Errorf("a proxy is asked for %s", r.URL)
					return nil, nil
				},
			}}
			r := d.newReplica(t.Context(), "r", at)
			close(got)
			want := ""
			if test.trusted {
				want = "Bearer secret /metrics"
			}
			if sent := <-got; sent != want || (r.refused == nil) != test.trusted || (r.certificate != nil) != test.trusted {
				t.Errorf("was sent %q, want %q; refused: %v", sent, want, r.refused)
			}
			if test.trusted && len(r.samples(leaderMetric)) != 1 {
				t.Errorf("the metrics are %v, %v", r.metrics, r.metricsErr)
			}
		})
	}
}

func newCA(t *testing.T, name string) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA(pkix.Name{CommonName: name}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func serving(t *testing.T, ca *pki.CA, name string) tls.Certificate {
	t.Helper()
	certPEM, keyPEM, err := ca.IssueServer("serving", []string{name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}
