package aggregator

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gateway-apiserver/gateway-apiserver/test/script"
)

// TestScripts runs the scripts in testdata. Each has a namespace of its own, $NS, which is kubectl's default. Their commands
// are those of package script, and:
//
//	login USER [GROUP...]   write a kubeconfig for a user to the file USER; kubectl takes it as --kubeconfig=USER
//	admitted FILE WANT      wait until kube-apiserver's answer to a dry run of FILE is as WANT says: admission is
//	                        configured in the background
//	denied FILE REGEXP      wait until such a dry run fails, and says so
//	audited REGEXP          wait until a replica has logged an audit event
//	webhook                 serve the admission webhooks of webhook_test.go on $URL, whose CA is $CA
func TestScripts(t *testing.T) {
	t.Parallel()
	commands := script.Commands(true)
	commands["login"] = cmdLogin
	commands["admitted"] = cmdAdmitted
	commands["denied"] = cmdDenied
	commands["audited"] = cmdAudited
	commands["webhook"] = cmdWebhook
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setupNamespace,
		Cmds:                commands,
	})
}

// setup is what all scripts need.
func setup(e *testscript.Env) error {
	e.Setenv("PATH", kube.Bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
	e.Setenv("HOME", e.WorkDir)
	e.Setenv("KUBECONFIG", kube.Kubeconfig)
	e.Setenv("XDS", installed.Replicas[0].XDS)
	return nil
}

func setupNamespace(e *testscript.Env) error {
	if err := setup(e); err != nil {
		return err
	}
	namespace := filepath.Base(e.WorkDir)
	namespace = regexp.MustCompile("^script-").ReplaceAllString(namespace, "")
	e.Setenv("NS", namespace)
	kubeconfig := filepath.Join(e.WorkDir, "admin")
	e.Setenv("KUBECONFIG", kubeconfig)
	_, err := kube.Kubectl(e.T().(testing.TB).Context(), "create", "namespace", namespace)
	if err != nil {
		return err
	}
	return writeKubeconfig(kubeconfig, kube.Kubeconfig, namespace)
}

// writeKubeconfig copies a kubeconfig with another default namespace.
func writeKubeconfig(to, from, namespace string) error {
	config, err := clientcmd.LoadFromFile(from)
	if err != nil {
		return err
	}
	config.Contexts[config.CurrentContext].Namespace = namespace
	return clientcmd.WriteToFile(*config, to)
}

func cmdLogin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: login USER [GROUP...]")
	}
	user, err := kube.User(args[0], args[1:]...)
	ts.Check(err)
	written, err := kube.WriteKubeconfig(ts.Getenv("NS")+"-"+args[0], user)
	ts.Check(err)
	ts.Check(writeKubeconfig(ts.MkAbs(args[0]), written, ts.Getenv("NS")))
}

func cmdAdmitted(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: admitted FILE WANT")
	}
	var different error
	if !script.Poll(func() bool {
		if different = ts.Exec("kubectl", "apply", "--dry-run=server", "-o", "yaml", "-f", args[0]); different == nil {
			different = script.Compare(ts.ReadFile(args[1]), ts.ReadFile("stdout"))
		}
		return different == nil
	}) {
		ts.Fatalf("%s: %v", args[0], different)
	}
}

func cmdDenied(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: denied FILE REGEXP")
	}
	want, err := regexp.Compile(args[1])
	ts.Check(err)
	if !script.Poll(func() bool {
		return ts.Exec("kubectl", "apply", "--dry-run=server", "-f", args[0]) != nil && want.MatchString(ts.ReadFile("stderr"))
	}) {
		ts.Fatalf("%s is not denied with %s:\n%s", args[0], want, ts.ReadFile("stderr"))
	}
}

func cmdAudited(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: audited REGEXP")
	}
	want, err := regexp.Compile(args[0])
	ts.Check(err)
	if !script.Poll(func() bool {
		for _, replica := range installed.Replicas {
			events, err := os.ReadFile(auditLog(replica.Name))
			ts.Check(err)
			for event := range bytes.Lines(events) {
				if want.Match(event) {
					return true
				}
			}
		}
		return false
	}) {
		ts.Fatalf("no audit event matches %s", want)
	}
}
