package app

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
)

// gatewayFlag names a Gateway, as NAMESPACE/NAME.
type gatewayFlag types.NamespacedName

func (f *gatewayFlag) Set(s string) error {
	namespace, name, ok := strings.Cut(s, "/")
	if !ok || len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return fmt.Errorf("want NAMESPACE/NAME, for example default/web")
	}
	*f = gatewayFlag{Namespace: namespace, Name: name}
	return nil
}

func (f *gatewayFlag) String() string {
	if f.Name == "" {
		return ""
	}
	return types.NamespacedName(*f).String()
}

func (*gatewayFlag) Type() string { return "NAMESPACE/NAME" }

// namespaceFlag names a namespace.
type namespaceFlag string

func (f *namespaceFlag) Set(s string) error {
	if len(validation.IsDNS1123Label(s)) > 0 {
		return fmt.Errorf("want the name of a namespace, for example default")
	}
	*f = namespaceFlag(s)
	return nil
}

func (f *namespaceFlag) String() string { return string(*f) }

func (*namespaceFlag) Type() string { return "NAMESPACE" }

// defaultXDS is where a standalone server serves xDS.
var defaultXDS = addressFlag{host: "127.0.0.1", port: 18000}

// addressFlag is a host, by name or IP, and a port, as HOST:PORT.
type addressFlag struct {
	host string
	port uint16
}

func (f *addressFlag) Set(s string) error {
	host, port, err := net.SplitHostPort(s)
	number, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || host == "" || portErr != nil || number == 0 {
		return fmt.Errorf("want HOST:PORT, for example 127.0.0.1:18000 or [::1]:18000")
	}
	*f = addressFlag{host: host, port: uint16(number)}
	return nil
}

func (f *addressFlag) String() string {
	if f.host == "" {
		return ""
	}
	return net.JoinHostPort(f.host, strconv.Itoa(int(f.port)))
}

func (*addressFlag) Type() string { return "HOST:PORT" }

// choiceFlag is one of several words, such as the formats that a command can print.
type choiceFlag struct {
	value   string
	choices []string
}

func (f *choiceFlag) Set(s string) error {
	if !slices.Contains(f.choices, s) {
		return fmt.Errorf("want one of: %s", strings.Join(f.choices, ", "))
	}
	f.value = s
	return nil
}

func (f *choiceFlag) String() string { return f.value }

func (f *choiceFlag) Type() string { return strings.Join(f.choices, "|") }

const channelUsage = "release channel of the Gateway API whose rules apply; standard refuses experimental fields and kinds"

func newChannelFlag() choiceFlag {
	return choiceFlag{
		value:   string(crd.ExperimentalChannel),
		choices: []string{string(crd.ExperimentalChannel), string(crd.StandardChannel)},
	}
}
