package app

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/doctor"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/documents"
)

// TestInstalledFlags is that the serve command understands what install makes it run with.
func TestInstalledFlags(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string]string{
		"one member":    "--etcd=embedded",
		"three members": "--etcd=embedded --etcd-replicas=3 --channel=standard --namespace=gateways",
		"an etcd":       "--etcd=https://a.example.com:2379,https://b.example.com:2379 --etcd-secret=etcd-client",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if code := Run(t.Context(), append([]string{"install", "--print"}, strings.Fields(flags)...), &out, t.Output()); code != 0 {
				t.Fatalf("install: exit code %d", code)
			}
			found, problems := documents.Parse("printed.yaml", out.Bytes())
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			for _, d := range found {
				if kind := d.Object.GetKind(); kind != "Deployment" && kind != "StatefulSet" {
					continue
				}
				containers, _, err := unstructured.NestedSlice(d.Object.Object, "spec", "template", "spec", "containers")
				if err != nil {
					t.Fatal(err)
				}
				args, _, err := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
				if err != nil {
					t.Fatal(err)
				}
				for i := range args { // as kubelet does
					args[i] = strings.ReplaceAll(args[i], "$(POD_NAME)", "gateway-apiserver-0")
				}
				checkServeFlags(t, args)
				return
			}
			t.Error("nothing runs the server")
		})
	}
}

// checkServeFlags parses and validates the flags of the serve command.
func checkServeFlags(t *testing.T, args []string) {
	t.Helper()
	if args[0] != "serve" {
		t.Fatalf("the command is %s", args[0])
	}
	o := newServeOptions()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	for _, set := range o.flags().FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(args[1:]); err != nil {
		t.Fatal(err)
	}
	if rest := flags.Args(); len(rest) > 0 {
		t.Errorf("not understood: %v", rest)
	}
	if errs := slices.Concat(o.completeEtcd(), o.recommended.Validate(), o.selfSigned.complete()); len(errs) > 0 {
		t.Error(errs)
	}
}

func TestInstallRefusals(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                                                "--etcd is required",
		"--etcd=http://a:1 --etcd-replicas=3":             "--etcd-replicas is only for an embedded etcd",
		"--etcd=embedded --replicas=3":                    "--replicas is only for an etcd cluster",
		"--etcd=embedded --etcd-secret=a":                 "--etcd-secret is only for an etcd cluster",
		"--etcd=embedded --storage-size=a lot":            "want a size such as 8Gi",
		"--etcd=embedded --channel=stable":                "want one of: experimental, standard",
		"--etcd=embedded --dry-run":                       "were all set",
		"--etcd=embedded --etcd-replicas=2":               "want 1 or 3",
		"--etcd=embedded --register=false --hide-objects": "--hide-objects is about the APIServices",
	} {
		var out bytes.Buffer
		all := []string{"install", "--print"}
		for _, arg := range strings.SplitAfter(args, " --") {
			if arg = strings.TrimSuffix(arg, " --"); arg != "" {
				all = append(all, "--"+strings.TrimPrefix(arg, "--"))
			}
		}
		if code := Run(t.Context(), all, io.Discard, &out); code != 1 || !strings.Contains(out.String(), want) {
			t.Errorf("install %s: exit code %d, %s, want %s", args, code, &out, want)
		}
	}
}

func TestImageTag(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"v1.37.2+v0.1.0":            "v0.1.0",
		"v1.37.2+v0.1.0-3-gf4de45f": "latest",
		"v1.37.2+v0.1.0-dirty":      "latest",
		"v1.37.2+v0.0.0-gf4de45f":   "latest",
		"v0.0.0-master+$Format:%H$": "latest",
	} {
		if got := imageTag(version); got != want {
			t.Errorf("%s: got %s, want %s", version, got, want)
		}
	}
}

func TestPrintFindings(t *testing.T) {
	t.Parallel()
	fine := doctor.Finding{Check: "etcd", Level: doctor.OK, Message: "well"}
	unknown := doctor.Finding{Check: "clock", Level: doctor.NotChecked, Message: "nobody answers", Fix: "ask again"}
	bad := doctor.Finding{Check: "crds", Level: doctor.Failed, Message: "bad", Fix: "mend it"}
	for _, test := range []struct {
		findings []doctor.Finding
		text     string
		err      string
	}{
		{[]doctor.Finding{fine}, "ok           etcd          well\n", ""},
		{[]doctor.Finding{fine, unknown}, "ok           etcd          well\nnot checked  clock         nobody answers\n                           -> ask again\n", ""},
		{[]doctor.Finding{bad, bad}, strings.Repeat("failed       crds          bad\n                           -> mend it\n", 2), "2 checks failed"},
	} {
		var text, asJSON bytes.Buffer
		for _, err := range []error{printFindings(&text, test.findings, ""), printFindings(&asJSON, test.findings, "json")} {
			if got := err; (got == nil) != (test.err == "") || got != nil && got.Error() != test.err {
				t.Errorf("the error is %v, want %q", got, test.err)
			}
		}
		if text.String() != test.text {
			t.Errorf("got:\n%swant:\n%s", &text, test.text)
		}
		var got struct{ Findings []doctor.Finding }
		if err := json.Unmarshal(asJSON.Bytes(), &got); err != nil || !slices.Equal(got.Findings, test.findings) {
			t.Errorf("as JSON: %v, %+v", err, got)
		}
	}
}
