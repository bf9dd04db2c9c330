package main

import (
	"io"
	"strings"
	"testing"
)

// TestArguments are refused before anything is measured; see package scale for what is.
func TestArguments(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"an argument that is no flag", []string{"fleet"}, `unexpected argument "fleet"`},
		{"scenarios that are no expression", []string{"-scenarios", "("}, "--scenarios"},
		{"scenarios that there are not", []string{"-scenarios", "^nothing$"}, `no scenario matches "^nothing$"`},
		{"no server", []string{"-small", "-server", "/nowhere/gateway-apiserver", "-scenarios", "attached"}, "/nowhere/gateway-apiserver"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"-dir", t.TempDir()}, tt.args...)
			if err := run(t.Context(), args, io.Discard, t.Output()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}
