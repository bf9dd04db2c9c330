package aggregator

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

const gatewaysPath = "/apis/gateway.networking.k8s.io/v1/gateways"

// request sends a GET, and returns the status and the body. Redirects are not followed.
func request(t *testing.T, config *rest.Config, path string, header http.Header) (int, string) {
	t.Helper()
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, config.Host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// Only kube-apiserver may say in headers who the user is: who has a certificate of the front proxy's CA for its name.
func TestFrontProxy(t *testing.T) {
	t.Parallel()
	asAdmin := http.Header{"X-Remote-User": {"admin"}, "X-Remote-Group": {"system:masters"}}
	asStranger := http.Header{"X-Remote-User": {"proxied"}}
	must := func(config *rest.Config, err error) *rest.Config {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return config
	}
	otherCA, err := pki.LoadOrMake(t.TempDir(), "front-proxy-ca")
	if err != nil {
		t.Fatal(err)
	}
	forgedCert, forgedKey, err := otherCA.IssueClient(cluster.FrontProxyName)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		client *rest.Config
		header http.Header
		status int
		says   string
	}{
		"the front proxy passes an administrator on": {
			client: must(kube.FrontProxy(cluster.FrontProxyName)), header: asAdmin, status: http.StatusOK,
		},
		"the front proxy passes somebody on who may not": {
			client: must(kube.FrontProxy(cluster.FrontProxyName)), header: asStranger, status: http.StatusForbidden, says: `User \"proxied\" cannot list`,
		},
		"the front proxy itself is nobody": {
			client: must(kube.FrontProxy(cluster.FrontProxyName)), status: http.StatusUnauthorized,
		},
		"another name of the front proxy's CA": {
			client: must(kube.FrontProxy("somebody")), header: asAdmin, status: http.StatusUnauthorized,
		},
		"the front proxy's name from another CA": {
			client: &rest.Config{TLSClientConfig: rest.TLSClientConfig{CertData: forgedCert, KeyData: forgedKey}}, header: asAdmin, status: http.StatusUnauthorized,
		},
		"the front proxy's name from the CA of the cluster's users": {
			client: must(kube.User(cluster.FrontProxyName)), header: asAdmin, status: http.StatusForbidden, says: `User \"front-proxy-client\" cannot list`,
		},
		"a user of the cluster": {
			client: must(kube.User("alice")), header: asAdmin, status: http.StatusForbidden, says: `User \"alice\" cannot list`,
		},
		"no certificate": {
			client: &rest.Config{}, header: asAdmin, status: http.StatusForbidden, says: `User \"system:anonymous\" cannot list`,
		},
		"a token": {
			client: must(kube.ServiceAccount(t.Context(), "default", "default")), header: asAdmin, status: http.StatusForbidden, says: `User \"system:serviceaccount:default:default\" cannot list`,
		},
		"an administrator of the cluster, directly": {
			client: kube.Admin, status: http.StatusOK,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, replica := range installed.Replicas {
				direct := must(replica.Direct(t.Context(), test.client))
				status, body := request(t, direct, gatewaysPath, test.header)
				if status != test.status || !strings.Contains(body, test.says) {
					t.Errorf("%s: want %d %q, have %d: %.300s", replica.Name, test.status, test.says, status, body)
				}
			}
		})
	}
	t.Run("kube-apiserver passes no headers of users on", func(t *testing.T) {
		t.Parallel()
		status, body := request(t, must(kube.User("alice")), gatewaysPath, asAdmin)
		if status != http.StatusForbidden || !strings.Contains(body, `User \"alice\" cannot list`) {
			t.Errorf("%d: %.300s", status, body)
		}
	})
}

// kube-apiserver would pass a redirect on to its clients, or follow it with its own credentials (CVE-2022-3172).
func TestNoRedirects(t *testing.T) {
	t.Parallel()
	var paths []string
	for _, path := range []string{
		"", "/api", "/apis", "/healthz", "/livez", "/readyz", "/metrics", "/version", "/openapi", "/openapi/v2", "/openapi/v3",
		"/openapi/v3/apis/gateway.networking.k8s.io/v1", "/debug/pprof", "/debug/flags", "/logs", "/index.html", "/swagger-ui", "/swaggerapi",
		"/apis/gateway.networking.k8s.io", "/apis/gateway.networking.k8s.io/v1", gatewaysPath, "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/web/status",
		"/apis/gateway.networking.x-k8s.io/v1alpha1", "/xds", "/v3/discovery:clusters", "/nothing",
	} {
		paths = append(paths, path+"/", "/"+path, path+"//", path+"/.", path+"/..", path+"/../apis", path+"?watch=0", "/."+path, path+"/%2e%2e/apis")
		if path != "" {
			paths = append(paths, path, path+"%2f")
		}
	}
	ways := map[string]*rest.Config{"through kube-apiserver": kube.Admin}
	for _, replica := range installed.Replicas {
		direct, err := replica.Direct(t.Context(), kube.Admin)
		if err != nil {
			t.Fatal(err)
		}
		ways[replica.Name] = direct
	}
	for way, config := range ways {
		for _, path := range paths {
			ours := strings.HasPrefix(path, "/apis/gateway.networking.")
			if config == kube.Admin && !ours {
				continue // kube-apiserver's own
			}
			if status, _ := request(t, config, path, nil); status >= 300 && status < 400 {
				t.Errorf("%s: %s: %d", way, path, status)
			}
		}
	}
}
