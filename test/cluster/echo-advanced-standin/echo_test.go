package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

// The binary is a client if it is called so.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "client" {
		main()
		return
	}
	os.Exit(m.Run())
}

// start serves on ports of its own, and returns them.
func start(t *testing.T) (http, https, grpc, tcp string) {
	t.Helper()
	var ports []string
	for range 4 {
		port, err := cluster.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, strconv.Itoa(port))
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error)
	go func() {
		served <- serve(ctx, []string{"--port=" + ports[0], "--port=" + ports[1], "--tls=" + ports[1], "--grpc=" + ports[2], "--tcp=" + ports[3], "--crt=/none", "--key=/none", "--version=v7"})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	for _, port := range ports {
		for {
			conn, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err == nil {
				_ = conn.Close()
				break
			}
			select {
			case err := <-served:
				t.Fatal(err)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	return ports[0], ports[1], ports[2], ports[3]
}

// call runs the client.
func call(t *testing.T, args ...string) (string, error) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Args = append([]string{"client"}, args...)
	out, err := cmd.Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		err = errors.New(string(exit.Stderr))
	}
	return string(out), err
}

// The answers have what the suite reads of them, in utils/echo/parse.go, where the first match of a field counts.
func TestAnswers(t *testing.T) {
	t.Parallel()
	http, https, grpc, tcp := start(t)
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want []string // regular expressions, each of a line
	}{
		{
			[]string{"http://127.0.0.1:" + http + "/a//b?c=d", "--method=PUT", "-H", "Host:other.example", "-H", "x-one: 1"},
			[]string{
				`\[0\] StatusCode=200`, `\[0\] ResponseHeader=Content-Type:application/text`, `\[0 body\] Host=other.example`, `\[0 body\] URL=/a//b\?c=d`,
				`\[0 body\] Method=PUT`, `\[0 body\] Proto=HTTP/1.1`, `\[0 body\] RequestHeader=X-One:1`, `\[0 body\] ServiceVersion=v7`,
				`\[0 body\] ServicePort=` + http, `\[0 body\] IP=127.0.0.1`, `\[0 body\] Hostname=` + name,
			},
		},
		{[]string{"http://127.0.0.1:" + http, "--http2"}, []string{`\[0 body\] Proto=HTTP/2.0`}},
		{
			[]string{"grpc://127.0.0.1:" + grpc, "-H", "Host:other.example", "-H", "x-one:1"},
			[]string{
				`\[0 body\] StatusCode=200`, `\[0 body\] Host=other.example`, `\[0 body\] RequestHeader=x-one:1`, `\[0 body\] Proto=GRPC`,
				`\[0 body\] Echo=HelloWorld`, `\[0\] ResponseHeader=content-type:application/grpc`, `\[0 body\] Hostname=` + name,
			},
		},
		{[]string{"tcp://127.0.0.1:" + tcp, "--msg=hello"}, []string{`\[0 body\] StatusCode=200`, `\[0 body\] hello`, `\[0 body\] Hostname=` + name}},
	} {
		out, err := call(t, c.args...)
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
			continue
		}
		for _, line := range c.want {
			if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(out) {
				t.Errorf("%s has no line %s:\n%s", c.args, line, out)
			}
		}
		if !strings.HasSuffix(out, "\n\n") || strings.Count(out, "\n\n") != 1 {
			t.Errorf("%s is not followed by one empty line:\n%s", c.args, out)
		}
	}
	for _, url := range []string{"http://127.0.0.1:" + http, "grpc://127.0.0.1:" + grpc} {
		out, err := call(t, url, "--count=3")
		if err != nil || strings.Count(out, "Hostname="+name) != 3 || strings.Count(out, "\n\n") != 3 {
			t.Errorf("three requests to %s: %v\n%s", url, err, out)
		}
	}
	if out, err := call(t, "https://127.0.0.1:"+https); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody knows: %v\n%s", err, out)
	}
	if out, err := call(t, "http://127.0.0.1:1"); err == nil || out != "" {
		t.Errorf("nobody answers: %v\n%s", err, out)
	}
}
