package clients

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gateway-apiserver/gateway-apiserver/test/script"
)

// testScripts runs scripts of testdata, each in a namespace of its own, $NS, which is kubectl's default. Their commands are
// those of package script; kubectl is the one of the given name. The condition [crds] says that there are
// CustomResourceDefinitions.
func testScripts(t *testing.T, kubectl, suffix string, definitions bool, names ...string) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(kube.Bin, kubectl), filepath.Join(dir, "kubectl")); err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, name := range names {
		files = append(files, filepath.Join("testdata", name+".txtar"))
	}
	testscript.Run(t, testscript.Params{
		Files:               files,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                script.Commands(true),
		Condition:           func(condition string) (bool, error) { return condition == "crds" && definitions, nil },
		Setup: func(e *testscript.Env) error {
			namespace := filepath.Base(e.WorkDir)[len("script-"):] + "-" + suffix
			if err := makeNamespace(t.Context(), namespace); err != nil {
				return err
			}
			config, err := clientcmd.LoadFromFile(kube.Kubeconfig)
			if err != nil {
				return err
			}
			config.Contexts[config.CurrentContext].Namespace = namespace
			kubeconfig := filepath.Join(e.WorkDir, "kubeconfig")
			e.Setenv("PATH", dir+string(filepath.ListSeparator)+kube.Bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("KUBECONFIG", kubeconfig)
			e.Setenv("NS", namespace)
			return clientcmd.WriteToFile(*config, kubeconfig)
		},
	})
}
