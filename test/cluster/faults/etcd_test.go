package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/client-go/rest"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/etcd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

// TestEtcdTrouble has etcd run out of space, stand still, end and deny writes, and looks at what users are told, and whether
// everything else goes on.
func TestEtcdTrouble(t *testing.T) {
	t.Parallel()
	kube := cluster.Start(t)
	const quota = 16 << 20
	installed, err := kube.Install(t.Context(), cluster.InstallOptions{
		Flags: []string{"--replicas=1"},
		Etcd:  []string{fmt.Sprintf("--quota-backend-bytes=%d", quota)},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &etcdScene{scene: newScene(t, kube, installed), replica: installed.Replicas[0]}
	s.api = restClient(s, s.to(s.replica))
	s.client, err = etcd.NewClient(storagebackend.TransportConfig{
		ServerList: []string{installed.Etcd.URL}, CertFile: installed.Etcd.Cert, KeyFile: installed.Etcd.Key, TrustedCAFile: installed.Etcd.CA,
	})
	s.must(err)
	t.Cleanup(func() { s.must(s.client.Close()) })
	s.create(s.replica, troubled, `{"gatewayClassName": "gateway-apiserver", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}`)
	for n := range 2 {
		s.must(s.createRoute(fmt.Sprintf("before-%d", n)))
	}
	for _, trouble := range []struct {
		name        string
		begin, end  func() error
		reads       bool
		deletes     bool
		code        int
		says        string // in the message
		writesCheck string // what readyz/etcd-writes says
	}{
		{"out of space", s.fill, s.makeRoom, true, true, http.StatusInsufficientStorage, "out of space", "NOSPACE"},
		{"standing still", installed.Etcd.Pause, installed.Etcd.Resume, false, false, http.StatusGatewayTimeout, "has not answered in time", "deadline exceeded"},
		{"gone", installed.Etcd.Kill, func() error { return installed.Etcd.Start(t.Context()) }, false, false, http.StatusServiceUnavailable, "can't be reached", "can't be reached"},
		{"read-only", s.deny, s.allow, true, false, http.StatusServiceUnavailable, "etcd doesn't allow this server", "are refused"}, // the last: users stay
	} {
		t.Logf("etcd is %s", trouble.name)
		s.must(trouble.begin())
		s.eventually(func(context.Context) string { return s.told(trouble.code, trouble.says) })
		s.eventually(func(context.Context) string { return s.unready(trouble.writesCheck, trouble.reads) })
		if _, err := send(s.Context(), s.api.Get().AbsPath(objectPath(troubled))); trouble.reads && err != nil {
			t.Errorf("it can't be read: %v", err)
		}
		// To nodes that come now.
		if configuration, err := s.xds(s.Context(), s.replica, troubled); err != nil || !strings.Contains(string(configuration), "before-1.example.com") {
			t.Errorf("Envoys are not told of what there is: %s (%v)", configuration, err)
		}
		if trouble.deletes {
			if _, err := send(s.Context(), s.api.Delete().AbsPath(objectPath(routeKey("before-0")))); err != nil {
				t.Errorf("a route can't be deleted: %v", err)
			}
			s.eventually(func(ctx context.Context) string { return s.without("before-0.example.com") })
		}
		s.must(trouble.end())
		s.eventually(func(context.Context) string {
			err := s.createRoute("after")
			if err != nil && !apierrors.IsAlreadyExists(err) {
				return fmt.Sprintf("etcd is well again, and nothing can be written: %v", err)
			}
			return ""
		})
		s.eventually(func(ctx context.Context) string {
			if _, err := send(ctx, s.api.Get().AbsPath("/readyz")); err != nil {
				return err.Error()
			}
			return ""
		})
		_, err = send(s.Context(), s.api.Delete().AbsPath(objectPath(routeKey("after"))))
		s.must(err)
	}
	s.stops()
}

// stops has the replica stop while etcd stands still, and requests wait for it that would go on to do so for much longer.
func (s *etcdScene) stops() {
	s.must(s.installed.Etcd.Pause())
	list := listPath(graph.KindHTTPRoute, "")
	requests := map[string]*rest.Request{
		"list": s.api.Get().AbsPath(list), "watch": s.api.Get().AbsPath(list).Param("watch", "true"), "get": s.api.Get().AbsPath(objectPath(troubled)),
	}
	answers := map[string]chan error{}
	for verb, request := range requests {
		sent, answer := make(chan struct{}), make(chan error, 1)
		answers[verb] = answer
		ctx := httptrace.WithClientTrace(s.Context(), &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) }})
		go func() {
			_, err := send(ctx, request)
			answer <- err
		}()
		<-sent
	}
	s.must(s.replica.Stop())
	for verb, answer := range answers {
		var status apierrors.APIStatus
		err := <-answer
		if verb == "watch" {
			continue // told to end like any other, before it has begun
		}
		if !errors.As(err, &status) || !strings.Contains(status.Status().Message, "this server stops") {
			s.Errorf("a %s that waited is answered with %v", verb, err)
		}
	}
	s.must(s.installed.Etcd.Resume())
}

var troubled = graph.Key{Kind: graph.KindGateway, Namespace: "default", Name: "troubled"}

func routeKey(name string) graph.Key {
	return graph.Key{Kind: graph.KindHTTPRoute, Namespace: "default", Name: name}
}

type etcdScene struct {
	*scene
	replica *cluster.Replica
	api     rest.Interface
	client  *clientv3.Client
}

// createRoute waits for an answer no longer than a user.
func (s *etcdScene) createRoute(name string) error {
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	body := fmt.Sprintf(`{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": %q}, "spec":
		{"parentRefs": [{"name": "troubled"}], "hostnames": ["%[1]s.example.com"], "rules": [{"filters": [{"type": "RequestRedirect", "requestRedirect": {"port": 443}}]}]}}`, name)
	_, err := send(ctx, s.api.Post().AbsPath(listPath(graph.KindHTTPRoute, "default")).Body([]byte(body)))
	return err
}

// told says why a user who writes now isn't told what is wrong.
func (s *etcdScene) told(code int, says string) string {
	err := s.createRoute("never")
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return fmt.Sprintf("a write is answered with %v", err)
	}
	if got := status.Status(); int(got.Code) != code || !strings.Contains(got.Message, says) {
		return fmt.Sprintf("a write is answered with %d %s: %s", got.Code, got.Reason, got.Message)
	}
	s.Logf("a write is answered with %d %s: %s", code, status.Status().Reason, status.Status().Message)
	return ""
}

// unready says why readyz doesn't tell that nothing can be written, and that reads go on.
func (s *etcdScene) unready(says string, reads bool) string {
	code, body, err := s.probe("/readyz/etcd-writes")
	if err != nil || code != http.StatusInternalServerError || !strings.Contains(body, says) {
		return fmt.Sprintf("readyz/etcd-writes is %d %s (%v)", code, body, err)
	}
	if code, _, err := s.probe("/readyz"); err != nil || code == http.StatusOK {
		return fmt.Sprintf("readyz is %d (%v)", code, err)
	}
	if reads {
		request := s.api.Get().AbsPath("/readyz").Param("exclude", "etcd-writes")
		if _, err := send(s.Context(), request); err != nil {
			return fmt.Sprintf("readyz without etcd-writes: %v", err)
		}
	}
	metrics, err := send(s.Context(), s.api.Get().AbsPath("/metrics"))
	if err != nil || !strings.Contains(string(metrics), `gateway_apiserver_etcd_failed_operations_total{operation="write"`) {
		return fmt.Sprintf("there is no metric of it: %v", err)
	}
	return ""
}

// probe asks as a kubelet does.
func (s *etcdScene) probe(path string) (code int, body string, err error) {
	config := s.to(s.replica)
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return 0, "", err
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(s.Context(), http.MethodGet, config.Host+path, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return response.StatusCode, string(data), err
}

// without says whether Envoys are still told of a host.
func (s *etcdScene) without(host string) string {
	configuration, err := s.xds(s.Context(), s.replica, troubled)
	if err != nil || strings.Contains(string(configuration), host) {
		return fmt.Sprintf("Envoys are told of %s: %s (%v)", host, configuration, err)
	}
	return ""
}

const junk = "/junk/"

// fill writes until etcd takes no more.
func (s *etcdScene) fill() error {
	value := strings.Repeat("x", 1<<20)
	for n := 0; ; n++ {
		_, err := s.client.Put(s.Context(), fmt.Sprint(junk, n), value)
		if errors.Is(err, rpctypes.ErrNoSpace) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// makeRoom does what the operator of an etcd does.
func (s *etcdScene) makeRoom() error {
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	deleted, err := s.client.Delete(ctx, junk, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	if _, err := s.client.Compact(ctx, deleted.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		return err
	}
	if _, err := s.client.Defragment(ctx, s.client.Endpoints()[0]); err != nil {
		return err
	}
	_, err = s.client.AlarmDisarm(ctx, &clientv3.AlarmMember{})
	return err
}
