package app

import "testing"

func TestGatewayFlag(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in string
		ok bool
	}{
		{"default/web", true},
		{"infra/edge.example.com", true},
		{"", false},
		{"web", false},
		{"/web", false},
		{"default/", false},
		{"default/web/http", false},
		{"Default/web", false},
	} {
		var f gatewayFlag
		if err := f.Set(test.in); (err == nil) != test.ok {
			t.Errorf("Set(%q): error %v, want ok %t", test.in, err, test.ok)
		}
		if test.ok && f.String() != test.in {
			t.Errorf("Set(%q) holds %q", test.in, f.String())
		}
	}
}

func TestAddressFlag(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in string
		ok bool
	}{
		{"127.0.0.1:18000", true},
		{"[::1]:18000", true},
		{"xds.example.com:443", true},
		{"18000", false},
		{":18000", false},
		{"localhost", false},
		{"localhost:0", false},
		{"localhost:65536", false},
		{"localhost:http", false},
	} {
		var f addressFlag
		if err := f.Set(test.in); (err == nil) != test.ok {
			t.Errorf("Set(%q): error %v, want ok %t", test.in, err, test.ok)
		}
		if test.ok && f.String() != test.in {
			t.Errorf("Set(%q) holds %q", test.in, f.String())
		}
	}
}
