package meshclients

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/documents"
)

// scenario is a file of testdata: routes, and calls with what is to come of them. See README.md for its form.
type scenario struct {
	name    string // and that of the namespace that its objects are in
	objects []*unstructured.Unstructured
	calls   []*call
}

type call struct {
	text     string // as it is in the file
	from     string // the namespace of the client
	service  string
	domain   string // what follows the namespace, ".svc"
	port     string // with its colon
	method   string
	metadata [][2]string
	outcome  string
	differs  map[string]string // the outcomes for single clients
}

const (
	objectsFile = "objects.yaml"
	everybody   = "calls" // the file with what is expected of all clients
	elsewhere   = " from "
	leadsTo     = " -> "
	or          = " or "
	// somewhere is the namespace of clients to which producer routes apply, and no others.
	somewhere = "default"
)

var callForm = regexp.MustCompile(`^([^.:/]+)((?:\.[^:/]+)?)(:\d+)(/[^/]+/[^/]+)$`)

func readScenarios(t *testing.T) []*scenario {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	var scenarios []*scenario
	for _, file := range files {
		sc, err := readScenario(file)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		scenarios = append(scenarios, sc)
	}
	return scenarios
}

func readScenario(path string) (*scenario, error) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		return nil, err
	}
	sc := &scenario{name: strings.TrimSuffix(filepath.Base(path), ".txtar")}
	for _, file := range archive.Files {
		if file.Name == objectsFile {
			err = sc.readObjects(file.Data)
		} else {
			err = sc.readCalls(file)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.Name, err)
		}
	}
	if len(sc.objects) == 0 || len(sc.calls) == 0 {
		return nil, fmt.Errorf("needs %s and %s", objectsFile, everybody)
	}
	return sc, nil
}

func (sc *scenario) readObjects(data []byte) error {
	docs, problems := documents.Parse(objectsFile, data)
	if len(problems) > 0 {
		return fmt.Errorf("%v", problems)
	}
	for _, doc := range docs {
		sc.objects = append(sc.objects, doc.Object)
	}
	return nil
}

// readCalls reads a file of the name "calls", or of that of a client for which some of them have other outcomes; both may be
// followed by the namespace that they are made from.
func (sc *scenario) readCalls(file txtar.File) error {
	who, from, ok := strings.Cut(file.Name, elsewhere)
	if !ok {
		from = somewhere
	}
	if who != everybody && !slices.ContainsFunc(clients, func(c client) bool { return c.name == who }) {
		return fmt.Errorf("is neither %s nor the name of a client", everybody)
	}
	for line := range strings.Lines(string(file.Data)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		c, err := parseCall(line)
		if err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		c.from = from
		known := sc.find(c)
		switch {
		case who == everybody && known == nil:
			sc.calls = append(sc.calls, c)
		case who == everybody:
			return fmt.Errorf("%q is there twice", line)
		case known == nil || known.outcome == c.outcome:
			return fmt.Errorf("%q has no other outcome in %s", line, everybody)
		default:
			known.differs[who] = c.outcome
		}
	}
	return nil
}

func (sc *scenario) find(like *call) *call {
	for _, c := range sc.from(like.from) {
		if c.text == like.text {
			return c
		}
	}
	return nil
}

// parseCall reads "service:port/grpc.Service/Method name=value -> outcome or outcome". The Service may have more of its DNS name, as
// in "service.svc:port", where its namespace is left out.
func parseCall(line string) (*call, error) {
	what, outcome, ok := strings.Cut(line, leadsTo)
	fields := strings.Fields(what)
	if !ok || len(fields) == 0 {
		return nil, fmt.Errorf("is not of the form CALL%sOUTCOME", leadsTo)
	}
	parts := callForm.FindStringSubmatch(fields[0])
	if parts == nil {
		return nil, fmt.Errorf("%s is not of the form service:port/grpc.Service/Method", fields[0])
	}
	c := &call{
		text: strings.Join(fields, " "), service: parts[1], domain: parts[2], port: parts[3], method: parts[4],
		outcome: join(strings.Split(strings.TrimSpace(outcome), or)), differs: map[string]string{},
	}
	for _, field := range fields[1:] {
		name, value, ok := strings.Cut(field, "=")
		if !ok {
			return nil, fmt.Errorf("%s is not of the form name=value", field)
		}
		c.metadata = append(c.metadata, [2]string{name, value})
	}
	return c, nil
}

// from returns the calls that are made from a namespace.
func (sc *scenario) from(namespace string) []*call {
	return slices.DeleteFunc(slices.Clone(sc.calls), func(c *call) bool { return c.from != namespace })
}

// want is what is to come of a call of a client.
func (c *call) want(client string) string {
	if outcome, ok := c.differs[client]; ok {
		return outcome
	}
	return c.outcome
}

// times is how often a client makes a call.
func (c *call) times(client string) int {
	if strings.Contains(c.want(client), or) {
		return manyCalls
	}
	return 1
}
