package app

import (
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// kubeconfigFlags say which server to talk to, as kubectl's flags of the same names do.
type kubeconfigFlags struct {
	path, context, namespace string
}

func (f *kubeconfigFlags) add(flags *pflag.FlagSet, namespaceUsage string) {
	flags.StringVar(&f.path, "kubeconfig", "", "kubeconfig of the server; by default what KUBECONFIG says, then ~/.kube/config")
	flags.StringVar(&f.context, "context", "", "context of the kubeconfig; by default its current one")
	flags.StringVarP(&f.namespace, "namespace", "n", "", namespaceUsage)
}

// load returns how to reach the server, and the namespace of the flag or the context. command is for the user agent.
func (f *kubeconfigFlags) load(command string) (*rest.Config, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.path
	overrides := &clientcmd.ConfigOverrides{CurrentContext: f.context}
	overrides.Context.Namespace = f.namespace
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	config, err := loader.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, "", fmt.Errorf("no kubeconfig says which server to talk to: name one with --kubeconfig or KUBECONFIG, for example .gateway-apiserver/%s", kubeconfigFile)
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading the kubeconfig: %w", err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, "", fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS = -1 // the server protects itself
	rest.AddUserAgent(config, command)
	return config, namespace, nil
}
