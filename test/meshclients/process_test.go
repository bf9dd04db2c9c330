package meshclients

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// processTimeout is when a client is given up that makes all its calls. One that has no configuration waits for it at each.
const processTimeout = 3 * time.Minute

// startPython runs client.py with gRPC's C++ core.
func startPython(t *testing.T, s *scene, namespace string) func([]request) ([]answer, error) {
	if *grpcio == "" {
		t.Skip("-grpcio is not set: see make clients")
	}
	libraries, err := filepath.Glob(filepath.Join(*grpcio, "usr/lib/*-linux-gnu*"))
	if err != nil || len(libraries) == 0 {
		t.Fatalf("no libraries in %s: %v", *grpcio, err)
	}
	return s.exchange(t, namespace, []string{"/usr/bin/python3", "client.py"},
		"PYTHONPATH="+filepath.Join(*grpcio, "usr/lib/python3/dist-packages"), "PYTHONDONTWRITEBYTECODE=1",
		"LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
}

// startJS runs client.js with gRPC's implementation in JavaScript.
func startJS(t *testing.T, s *scene, namespace string) func([]request) ([]answer, error) {
	if *grpcJS == "" {
		t.Skip("-grpc-js is not set: see make clients")
	}
	return s.exchange(t, namespace, []string{"node", "client.js"}, "NODE_PATH="+filepath.Join(*grpcJS, "node_modules"))
}

// exchange runs a command that reads requests and writes answers, a line of JSON each.
func (s *scene) exchange(t *testing.T, namespace string, command []string, environment ...string) func([]request) ([]answer, error) {
	bootstrap := s.bootstrap(t, "--proxyless", namespace, "--node-id", t.Name(), "-o", "json")
	return func(requests []request) ([]answer, error) {
		var in, out, log bytes.Buffer
		for _, r := range requests {
			if err := json.NewEncoder(&in).Encode(r); err != nil {
				return nil, err
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), processTimeout)
		defer cancel()
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Env = append(append(os.Environ(), "GRPC_XDS_BOOTSTRAP_CONFIG="+bootstrap), environment...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &log
		failed := cmd.Run()
		answers, err := readAnswers(&out)
		if err := errors.Join(failed, err); err != nil {
			return answers, fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, &log)
		}
		if len(answers) != len(requests) {
			return answers, fmt.Errorf("%s ended\n%s", strings.Join(command, " "), &log)
		}
		return answers, nil
	}
}

func readAnswers(r io.Reader) (answers []answer, err error) {
	for d := json.NewDecoder(r); ; {
		var a answer
		if err := d.Decode(&a); errors.Is(err, io.EOF) {
			return answers, nil
		} else if err != nil {
			return answers, err
		}
		answers = append(answers, a)
	}
}
