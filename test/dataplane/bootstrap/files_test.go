package bootstrap

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	rendered "github.com/gateway-apiserver/gateway-apiserver/pkg/xds/bootstrap"
)

// connect returns a client of the server that a bootstrap names.
func connect(t *testing.T, o rendered.Options) healthpb.HealthClient {
	t.Helper()
	config, err := New(render(t, o), Identity{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := config.Server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return healthpb.NewHealthClient(conn)
}

func check(t *testing.T, c healthpb.HealthClient) error {
	t.Helper()
	_, err := c.Check(t.Context(), &healthpb.HealthCheckRequest{})
	return err
}

// writeSDS writes the files of SDS beside the certificates.
func writeSDS(t *testing.T, files *rendered.TLS) {
	t.Helper()
	files.SDS = filepath.Dir(files.CA)
	sds, err := rendered.SDSFiles(*files)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range sds {
		if err := os.WriteFile(filepath.Join(files.SDS, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// What SDS delivers from files holds for connections that are made after it has changed, without a restart.
func TestRotation(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t), newAuthority(t)
	writeSDS(t, &a.files)
	o := options()
	o.TLS = &a.files
	o.Server = rendered.Address{Host: "localhost", Port: a.serve(t, []string{"localhost"}, nil)}
	before := connect(t, o)
	if err := check(t, before); err != nil {
		t.Fatal(err)
	}
	replace := func(from, to string) {
		t.Helper()
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to+".new", data, 0o600)
		}
		if err == nil {
			err = os.Rename(to+".new", to)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	o.Server.Port = a.serve(t, []string{"localhost"}, nil)
	after := connect(t, o)
	replace(other.files.CA, a.files.CA)
	if err := check(t, after); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("another CA is trusted, and the server is accepted: %v", err)
	}
	if err := check(t, before); err != nil {
		t.Errorf("a connection that was there: %v", err)
	}
	replace(other.files.Cert, a.files.Cert)
	replace(other.files.Key, a.files.Key)
	o.Server.Port = other.serve(t, []string{"localhost"}, nil)
	if err := check(t, connect(t, o)); err != nil {
		t.Errorf("with all files of the other CA: %v", err)
	}
}

func TestRefusedSDS(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file, replace, with, want string
	}{
		"not watched":     {"xds-certificate.yaml", "watched_directory:", "watched_directory: {path: /}\n#", "isn't where"},
		"another name":    {"xds-ca.yaml", "name: xds-ca", "name: other", "expecting xds-ca"},
		"another field":   {"xds-ca.yaml", "validation_context:", "validation_context:\n    require_signed_certificate_timestamp: true", "require_signed_certificate_timestamp"},
		"names":           {"xds-ca.yaml", "validation_context:", "validation_context:\n    match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: a}}]", "for the bootstrap to say"},
		"no resources":    {"xds-ca.yaml", "resources:", "version_info: a\n#", "version_info: not executed"},
		"no certificates": {"xds-ca.yaml", "ca.crt", "tls.key", "trusted_ca: no certificates"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t)
			writeSDS(t, &a.files)
			o := options()
			o.TLS = &a.files
			if _, err := New(render(t, o), Identity{}); err != nil {
				t.Fatalf("refused as it is rendered: %v", err)
			}
			path := filepath.Join(a.files.SDS, test.file)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(data), test.replace) {
				t.Fatalf("no %q in\n%s", test.replace, data)
			}
			before, after, _ := strings.Cut(string(data), test.replace)
			if name == "not watched" || name == "no resources" { // what the line led to goes with it
				after = ""
			}
			if err := os.WriteFile(path, []byte(before+test.with+after), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := New(render(t, o), Identity{}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q in\n%s", err, test.want, before+test.with+after)
			}
		})
	}
}

// A token is read for each stream, and sent only to a server that has shown who it is.
func TestToken(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	asked := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		if got := md.Get("authorization"); len(got) != 1 || got[0] != "Bearer second" {
			return nil, status.Errorf(codes.Unauthenticated, "%q", got)
		}
		return handle(ctx, request)
	}
	port := a.serveWith(t, []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}, tls.NoClientCert, grpc.UnaryInterceptor(asked))
	token := filepath.Join(t.TempDir(), "token")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(token, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	for _, host := range []string{"localhost", "127.0.0.1"} {
		write("first")
		o := options()
		o.Server, o.TLS = rendered.Address{Host: host, Port: port}, &rendered.TLS{CA: a.files.CA, Token: token}
		client := connect(t, o)
		if err := check(t, client); err == nil || !strings.Contains(err.Error(), "Bearer first") {
			t.Errorf("%s: %v", host, err)
		}
		write("second")
		if err := check(t, client); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	o := options()
	o.Server, o.TLS = rendered.Address{Host: "localhost", Port: port}, &rendered.TLS{CA: newAuthority(t).files.CA, Token: token}
	if err := check(t, connect(t, o)); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a server of another CA gets the token: %v", err)
	}
}

func TestRefusedToken(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	google := func(b *bootstrapv3.Bootstrap) *corev3.GrpcService_GoogleGrpc {
		return b.GetDynamicResources().GetAdsConfig().GetGrpcServices()[0].GetGoogleGrpc()
	}
	for name, test := range map[string]struct {
		change func(*bootstrapv3.Bootstrap)
		want   string
	}{
		"CAs of the system": {func(b *bootstrapv3.Bootstrap) { google(b).ChannelCredentials = nil }, "root_certs: is required"},
		"no token":          {func(b *bootstrapv3.Bootstrap) { google(b).CallCredentials = nil }, "call_credentials: exactly one"},
		"small responses":   {func(b *bootstrapv3.Bootstrap) { delete(google(b).ChannelArgs.Args, "grpc.max_receive_message_length") }, "channel_args: exactly"},
		"no factory":        {func(b *bootstrapv3.Bootstrap) { google(b).CredentialsFactoryName = "" }, "credentials_factory_name"},
		"no port":           {func(b *bootstrapv3.Bootstrap) { google(b).TargetUri = "xds.example.com" }, "target_uri"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options()
			o.TLS = &rendered.TLS{CA: a.files.CA, Token: "/token"}
			b := render(t, o)
			if _, err := New(b, Identity{}); err != nil {
				t.Fatalf("refused as it is rendered: %v", err)
			}
			test.change(b)
			if _, err := New(b, Identity{}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}
