package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

const module = "sigs.k8s.io/gateway-api"

// A release is a version of the Gateway API module.
type release struct {
	version string
	dir     string
}

// retired are the releases that versions come from which today's release has no more, oldest first, with the hashes that
// go.sum would have for them. A module can require only one version of another.
var retired = []struct{ version, sum string }{
	{"v0.7.1", "h1:Tts2jeepVkPA5rVG/iO+S43s9n7Vp7jCDhZDQYtPigQ="},
	{"v1.0.0", "h1:iPTStSv41+d9p0xFydll6d7f7MOBGuqXM6p2/zVYMAs="},
	{"v1.1.1", "h1:N6iO0Rjao3Eu2aj9bslYhIZg/pGBOB2CZPt6qVneq6s="},
	{"v1.2.1", "h1:fZZ/+RyRb+Y5tGkwxFKuYuSRQHu9dZtbjenblleOLHM="},
	{"v1.3.0", "h1:q6okN+/UKDATola4JY7zXzx40WO4VISk7i9DIfOvr9M="},
	{"v1.4.1", "h1:NPxFutNkKNa8UfLd2CMlEuhIPMQgDQ6DXNKG9sHbJU8="},
}

// download returns the releases in the order of time: those retired and the pinned one, which is last.
func download() ([]release, error) {
	var releases []release
	for _, r := range retired {
		var got struct{ Version, Dir, Sum string }
		if err := goJSON(&got, "mod", "download", "-json", module+"@"+r.version); err != nil {
			return nil, err
		}
		if got.Sum != r.sum {
			return nil, fmt.Errorf("%s@%s has the hash %s, expected %s", module, r.version, got.Sum, r.sum)
		}
		releases = append(releases, release{got.Version, got.Dir})
	}
	// Without a version it is the one in go.mod, and its hash has to be the one in go.sum. Nothing that this program imports needs
	// the module, so it may not have been downloaded before.
	var pinned struct{ Version, Dir string }
	if err := goJSON(&pinned, "mod", "download", "-json", module); err != nil {
		return nil, err
	}
	return append(releases, release{pinned.Version, pinned.Dir}), nil
}

func goJSON(result any, args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return json.Unmarshal(out, result)
}

// find reads the definition of a channel and returns it and one version in it. Both are nil if the release has no such
// definition, the version is nil if that lacks it.
func (r release) find(channel, definition, version string) (*apiextensionsv1.CustomResourceDefinition, *apiextensionsv1.CustomResourceDefinitionVersion, error) {
	crd, err := readDefinition(filepath.Join(r.dir, "config", "crd", channel, definition+".yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	at := slices.IndexFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool { return v.Name == version })
	if at < 0 {
		return crd, nil, nil
	}
	return crd, &crd.Spec.Versions[at], nil
}

func readDefinition(file string) (*apiextensionsv1.CustomResourceDefinition, error) {
	source, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(source, crd); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return crd, nil
}
