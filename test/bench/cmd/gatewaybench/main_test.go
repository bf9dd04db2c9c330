package main

import (
	"io"
	"strings"
	"testing"
)

// TestArguments are refused before anything is created; see package gatewayapi for what is.
func TestArguments(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no class", nil, "--gateway-class is required"},
		{"an argument that is no flag", []string{"attached-routes"}, `unexpected argument "attached-routes"`},
		{"a scenario that there is not", []string{"--gateway-class=a", "--scenario=b"}, "--scenario b: want one of attached-routes"},
		{"no routes", []string{"--gateway-class=a", "--routes=0"}, "at least 1"},
		{"no port for HTTPS", []string{"--gateway-class=a", "--port=65535"}, "between 1 and 65534"},
		{"no cluster", []string{"--gateway-class=a", "--kubeconfig=/nowhere/kubeconfig"}, "/nowhere/kubeconfig"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := run(t.Context(), tt.args, io.Discard, t.Output()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}
