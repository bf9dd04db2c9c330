//go:build linux

package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
)

func TestExec(t *testing.T) {
	t.Parallel()
	apply(t, "exec", fmt.Sprintf(mortal, "shell", 0, "sleep 1000"))
	ready(t, "exec", "shell", 1)
	for name, newExecutor := range map[string]func(*rest.Config, string, *url.URL) (remotecommand.Executor, error){
		"SPDY": remotecommand.NewSPDYExecutor,
		"WebSocket": func(c *rest.Config, _ string, u *url.URL) (remotecommand.Executor, error) {
			return remotecommand.NewWebSocketExecutor(c, "GET", u.String())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := kube.Clientset().CoreV1().RESTClient().Post().Resource("pods").Namespace("exec").Name("shell").SubResource("exec").
				VersionedParams(&corev1.PodExecOptions{
					Command: []string{"sh", "-c", "cat; echo oops >&2; exit 3"}, Stdin: true, Stdout: true, Stderr: true,
				}, scheme.ParameterCodec)
			executor, err := newExecutor(kube.Admin, "POST", request.URL())
			if err != nil {
				t.Fatal(err)
			}
			var out, errs bytes.Buffer
			err = executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: strings.NewReader("in"), Stdout: &out, Stderr: &errs})
			if code := (exec.CodeExitError{}); !errors.As(err, &code) || code.Code != 3 {
				t.Errorf("it ended with %v", err)
			}
			if out.String() != "in" || errs.String() != "oops\n" {
				t.Errorf("it wrote %q and %q", out.String(), errs.String())
			}
		})
	}
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	apply(t, "terminal", fmt.Sprintf(mortal, "shell", 0, "sleep 1000"))
	ready(t, "terminal", "shell", 1)
	request := kube.Clientset().CoreV1().RESTClient().Post().Resource("pods").Namespace("terminal").Name("shell").SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: []string{"true"}, Stdin: true, Stdout: true, TTY: true}, scheme.ParameterCodec)
	executor, err := remotecommand.NewSPDYExecutor(kube.Admin, "POST", request.URL())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: strings.NewReader(""), Stdout: &out, Tty: true})
	if err == nil || !strings.Contains(err.Error(), "no terminals") {
		t.Errorf("it ended with %v", err)
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	apply(t, "logs", fmt.Sprintf(mortal, "writer", 0, `trap 'printf 5; exit 1' USR1; for i in 1 2 3 4; do echo $i; done; while :; do sleep 0.1; done`))
	pod := ready(t, "logs", "writer", 1)[0]
	logs := func(flags ...string) string {
		t.Helper()
		out, err := kube.Kubectl(t.Context(), append([]string{"logs", "-n", "logs", "writer"}, flags...)...)
		if err != nil {
			t.Error(err)
		}
		return out
	}
	eventually(t, func(context.Context) error {
		if all := logs(); all != "1\n2\n3\n4\n" {
			return fmt.Errorf("the log is %q", all)
		}
		return nil
	})
	if got := logs("--tail=2"); got != "3\n4\n" {
		t.Errorf("its end is %q", got)
	}
	if got := logs("--limit-bytes=3"); got != "1\n2" {
		t.Errorf("its beginning is %q", got)
	}
	if got := logs("--since-time=" + time.Now().Add(time.Minute).Format(time.RFC3339)); got != "" {
		t.Errorf("later there is %q", got)
	}
	if got := logs("--since-time=" + pod.Status.StartTime.Add(-time.Second).Format(time.RFC3339)); got != "1\n2\n3\n4\n" {
		t.Errorf("since the start there is %q", got)
	}
	if got := logs("--timestamps", "--tail=1"); !strings.HasSuffix(got, "Z 4\n") {
		t.Errorf("with a time, its end is %q", got)
	}
	followed := make(chan string)
	go func() { followed <- logs("--follow", "--tail=1") }()
	if _, err := in(t.Context(), "logs", "writer", "sh", "-c", "kill -USR1 1"); err != nil {
		t.Fatal(err)
	}
	if got := <-followed; got != "4\n5\n" && got != "4\n" {
		// The container may have been started again before the log was followed.
		t.Errorf("followed, it is %q", got)
	}
	eventually(t, func(ctx context.Context) error {
		got, err := kube.Kubectl(ctx, "logs", "-n", "logs", "writer", "--previous", "--tail=1")
		if err == nil && got != "5\n" {
			err = fmt.Errorf("the log before ends with %q", got)
		}
		return err
	})
}
