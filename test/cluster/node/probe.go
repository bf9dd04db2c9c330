//go:build linux

package node

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// eagerPeriod is how often is asked what isn't ready, if its probe has a longer period: what waits for it should not wait
// for the period, too.
const eagerPeriod = 50 * time.Millisecond

// probe asks the container how it is, until it has ended.
func (r *runner) probe(ctx context.Context) {
	once := func(bool) bool { return false }
	if r.startup != nil {
		if !r.ask(ctx, r.startup, 0, once) {
			r.restart(ctx)
			return
		}
		r.set(func(s *containerState) { s.started, s.ready = true, r.readiness == nil })
	}
	var probes sync.WaitGroup
	if r.liveness != nil {
		probes.Go(func() {
			if !r.ask(ctx, r.liveness, 0, func(alive bool) bool { return alive }) {
				r.restart(ctx)
			}
		})
	}
	if r.readiness != nil {
		probes.Go(func() {
			r.ask(ctx, r.readiness, eagerPeriod, func(ready bool) bool {
				r.set(func(s *containerState) { s.ready = ready && s.running != nil })
				return true
			})
		})
	}
	probes.Wait()
}

// ask probes until the context ends or changed, which is called with each new result, says no. It returns the last result.
// While that is bad, eager is the period, unless it is 0.
func (r *runner) ask(ctx context.Context, p *corev1.Probe, eager time.Duration, changed func(bool) bool) bool {
	period := time.Duration(max(p.PeriodSeconds, 1)) * time.Second
	wait := time.Duration(p.InitialDelaySeconds) * time.Second
	var good, known bool
	var same int32 // results in a row that aren't what is known
	for {
		select {
		case <-ctx.Done():
			return good
		case <-time.After(wait):
		}
		wait = period
		timeout, cancel := context.WithTimeout(ctx, time.Duration(max(p.TimeoutSeconds, 1))*time.Second)
		err := r.check(timeout, p)
		cancel()
		if ctx.Err() != nil {
			return good
		}
		threshold := max(p.SuccessThreshold, 1)
		if err != nil {
			r.pod.node.logger.Debug("Probe", "pod", r.pod.key, "container", r.name, "err", err)
			threshold = max(p.FailureThreshold, 1)
		}
		if known && (err == nil) == good {
			same = 0
		} else if same++; same >= threshold {
			good, known, same = err == nil, true, 0
			if !changed(good) {
				return good
			}
		}
		if eager > 0 && !good {
			wait = eager
		}
	}
}

// check probes once.
func (r *runner) check(ctx context.Context, p *corev1.Probe) error {
	switch {
	case p.HTTPGet != nil:
		return r.checkHTTP(ctx, p.HTTPGet)
	case p.TCPSocket != nil:
		addr, err := r.target(p.TCPSocket.Host, p.TCPSocket.Port)
		if err != nil {
			return err
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	case p.GRPC != nil:
		return r.checkGRPC(ctx, p.GRPC)
	case p.Exec != nil:
		return r.exec(ctx, p.Exec.Command, streams{})
	}
	return fmt.Errorf("container %s has a probe of nothing", r.name)
}

// prober sends no request over a connection of another one, as kubelets don't.
var prober = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (r *runner) checkHTTP(ctx context.Context, get *corev1.HTTPGetAction) error {
	addr, err := r.target(get.Host, get.Port)
	if err != nil {
		return err
	}
	path, err := url.Parse(get.Path)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr, nil)
	if err != nil {
		return err
	}
	request.URL = request.URL.ResolveReference(path)
	for _, h := range get.HTTPHeaders {
		request.Header.Add(h.Name, h.Value)
		if strings.EqualFold(h.Name, "host") {
			request.Host = h.Value
		}
	}
	response, err := prober.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, 10<<10)); err != nil {
		return err
	}
	if response.StatusCode < 200 || response.StatusCode >= 400 {
		return fmt.Errorf("%s answers %s", request.URL, response.Status)
	}
	return nil
}

func (r *runner) checkGRPC(ctx context.Context, action *corev1.GRPCAction) error {
	addr := net.JoinHostPort(r.pod.sandbox.addr.String(), strconv.Itoa(int(action.Port)))
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	answer, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{Service: value(action.Service)})
	if err != nil {
		return err
	}
	if answer.Status != healthv1.HealthCheckResponse_SERVING {
		return fmt.Errorf("%s answers %s", addr, answer.Status)
	}
	return nil
}

// target returns the address of a port of the container, or of another host.
func (r *runner) target(host string, port intstr.IntOrString) (string, error) {
	if host == "" {
		host = r.pod.sandbox.addr.String()
	}
	number := port.IntVal
	if port.Type == intstr.String {
		var ok bool
		if number, ok = r.ports[port.StrVal]; !ok {
			return "", fmt.Errorf("container %s has no port %q", r.name, port.StrVal)
		}
	}
	return net.JoinHostPort(host, strconv.Itoa(int(number))), nil
}
