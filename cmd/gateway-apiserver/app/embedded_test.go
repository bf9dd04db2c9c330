package app

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
)

func TestEmbeddedOptions(t *testing.T) {
	t.Parallel()
	const (
		dir   = "--embedded-etcd=data"
		name  = "--embedded-etcd-name=a"
		peers = "--embedded-etcd-peers=a=https://a:2380,b=https://10.0.0.2:2380,c=https://[::1]:2380"
	)
	for _, test := range []struct {
		name string
		args []string
		want string // the error, or what is in it
		host string
	}{
		{name: "none"},
		{name: "alone", args: []string{dir}},
		{name: "three", args: []string{dir, name, peers}, host: "a"},
		{name: "three, IPv6", args: []string{dir, "--embedded-etcd-name=c", peers}, host: "::1"},
		{name: "three, with certificates", args: []string{dir, name, peers, "--embedded-etcd-cert-file=c", "--embedded-etcd-key-file=k", "--embedded-etcd-trusted-ca-file=ca"}, host: "a"},
		{name: "no directory", args: []string{name, peers}, want: "give --embedded-etcd, the directory"},
		{name: "not a member", args: []string{dir, "--embedded-etcd-name=d", peers}, want: "--embedded-etcd-name d is not in --embedded-etcd-peers: want one of a, b, c"},
		{name: "two", args: []string{dir, name, "--embedded-etcd-peers=a=https://a:1,b=https://b:1"}, want: "has 2 members"},
		{name: "plaintext", args: []string{dir, name, "--embedded-etcd-peers=a=http://a:1"}, want: "use https"},
		{name: "no port", args: []string{dir, name, "--embedded-etcd-peers=a=https://a"}, want: "want NAME=https://HOST:PORT"},
		{name: "a path", args: []string{dir, name, "--embedded-etcd-peers=a=https://a:1/"}, want: "want NAME=https://HOST:PORT"},
		{name: "no name", args: []string{dir, name, "--embedded-etcd-peers=https://a:1"}, want: "want NAME=https://HOST:PORT"},
		{name: "a name twice", args: []string{dir, name, "--embedded-etcd-peers=a=https://a:1,a=https://b:1,c=https://c:1"}, want: "two members with the name a"},
		{name: "an address twice", args: []string{dir, name, "--embedded-etcd-peers=a=https://a:1,b=https://a:1,c=https://c:1"}, want: "two members at https://a:1"},
		{name: "some files", args: []string{dir, name, peers, "--embedded-etcd-cert-file=c"}, want: "go together"},
		{name: "files for nobody", args: []string{dir, "--embedded-etcd-cert-file=c"}, want: "name them by --embedded-etcd-peers"},
		{name: "no port to listen on", args: []string{dir, name, peers, "--embedded-etcd-listen-peer=0.0.0.0"}, want: "--embedded-etcd-listen-peer 0.0.0.0: want HOST:PORT"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := newEmbeddedOptions()
			flags := pflag.NewFlagSet("", pflag.ContinueOnError)
			o.addFlags(flags)
			if err := flags.Parse(test.args); err != nil {
				t.Fatal(err)
			}
			err := utilerrors.NewAggregate(o.validate())
			if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if err == nil && o.peerHost() != test.host {
				t.Errorf("host %q, want %q", o.peerHost(), test.host)
			}
		})
	}
}
