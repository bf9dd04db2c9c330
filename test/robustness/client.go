package robustness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// requestTimeout is when an answer is no longer waited for.
const requestTimeout = 10 * time.Second

// Client asks for one thing after the other, of one server, or of kube-apiserver, which passes it on.
type Client struct {
	ID  int
	Way string

	api       rest.Interface
	random    *rand.Rand
	clock     clock
	history   *History
	snapshots *Snapshots
	sequence  int
	known     map[*Kind]map[string]Object // as it was last seen, which may be long ago
	answered  atomic.Int64
}

// Snapshot is a list as a server had it in its cache, with the version that it says it is of.
type Snapshot struct {
	Kind     *Kind
	Way      string
	Revision uint64
	Objects  map[string]Object
}

// Snapshots are those that clients have read since they were last taken.
type Snapshots struct {
	mu   sync.Mutex
	read []Snapshot
}

func (s *Snapshots) add(read Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = append(s.read, read)
}

func (s *Snapshots) take() []Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	read := s.read
	s.read = nil
	return read
}

// restClient sends requests to any path, and never sends one twice.
func restClient(config *rest.Config) (rest.Interface, error) {
	config = rest.CopyConfig(config)
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	return rest.UnversionedRESTClientFor(config)
}

// run asks for random things until ctx ends. It never leaves a request without its answer.
func (c *Client) run(ctx context.Context) {
	for ctx.Err() == nil {
		kind := pick(c.random, kinds[0], kinds[1], kinds[1], kinds[1], kinds[2])
		name := pick(c.random, kind.Objects...)
		pause := 20 + c.random.IntN(100)
		if !c.do(kind, name, c.choose(kind, name)) {
			pause += 100
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(pause) * time.Millisecond):
		}
	}
}

// choose picks something that makes sense for what the client last knew of an object, which needn't be so any more.
func (c *Client) choose(kind *Kind, name string) Verb {
	n := c.random.IntN(100)
	known := c.knows(kind, name)
	switch {
	case n < 25:
		return Get
	case n < 35:
		return List
	case !known:
		return Create
	case n < 39:
		return Create // which is there already, or not any more
	case n < 47 && (kind.Name != "Gateway" || n < 41): // routes need Gateways
		return Delete
	case n < 65 && kind.Status:
		return UpdateStatus
	}
	return Update
}

// do asks for something, and says whether the answer was one that the model knows.
func (c *Client) do(kind *Kind, name string, verb Verb) bool {
	known := c.known[kind][name]
	return c.ask(kind, Input{Verb: verb, Name: name, Mark: c.mark(), UID: known.UID, Base: known.Version}, kind.spec)
}

// mark returns a mark that nobody has used.
func (c *Client) mark() string {
	c.sequence++
	return fmt.Sprintf("c%d-%d", c.ID, c.sequence)
}

// knows says whether the client knows of an object.
func (c *Client) knows(kind *Kind, name string) bool {
	_, known := c.known[kind][name]
	return known
}

// ask sends one request and has the history know what became of it.
func (c *Client) ask(kind *Kind, in Input, spec func(*rand.Rand, string) map[string]any) bool {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	request := c.request(kind, in, spec)
	r := &Request{Kind: kind, Client: c.ID, Input: in, Call: c.clock.now()}
	data, err := send(ctx, request)
	r.Return = c.clock.now()
	if err == nil {
		r.Output, err = c.read(kind, in, data)
		r.Output.Result = Done
	}
	if err != nil {
		r.judge(err)
	}
	c.history.add(r)
	c.learn(r)
	if r.Lost || r.Refused {
		return false
	}
	c.answered.Add(1)
	return true
}

// request is what is sent. Each write also has what is to be dropped.
func (c *Client) request(kind *Kind, in Input, spec func(*rand.Rand, string) map[string]any) *rest.Request {
	var status map[string]any
	if kind.Status {
		status = kind.status("dropped")
	}
	switch in.Verb {
	case Create:
		return c.api.Post().AbsPath(kind.path()).Body(kind.manifest(in.Name, 0, spec(c.random, in.Mark), status))
	case Update:
		return c.api.Put().AbsPath(kind.path(in.Name)).Body(kind.manifest(in.Name, in.Base, spec(c.random, in.Mark), status))
	case UpdateStatus:
		return c.api.Put().AbsPath(kind.path(in.Name, "status")).Body(kind.manifest(in.Name, in.Base, spec(c.random, "dropped"), kind.status(in.Mark)))
	case Delete:
		options, err := json.Marshal(metav1.DeleteOptions{
			TypeMeta:      metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"},
			Preconditions: metav1.NewUIDPreconditions(in.UID),
		})
		if err != nil {
			panic(err)
		}
		return c.api.Delete().AbsPath(kind.path(in.Name)).Body(options)
	case List:
		return c.api.Get().AbsPath(kind.path())
	}
	return c.api.Get().AbsPath(kind.path(in.Name))
}

// send returns the answer to a request, or an error with the server's words.
func send(ctx context.Context, request *rest.Request) ([]byte, error) {
	result := request.MaxRetries(0).Do(ctx)
	if err := result.Error(); err != nil {
		return nil, err
	}
	return result.Raw()
}

// read takes an answer apart.
func (c *Client) read(kind *Kind, in Input, data []byte) (out Output, err error) {
	switch in.Verb {
	case Delete:
		var status metav1.Status
		if err := json.Unmarshal(data, &status); err != nil {
			return out, err
		}
		if status.Details == nil || string(status.Details.UID) != in.UID {
			return out, fmt.Errorf("what was deleted is not %s: %s", in.UID, data)
		}
		return out, nil
	case List:
		out.Objects, out.Revision, err = readList(kind, data)
		if err == nil {
			c.snapshots.add(Snapshot{kind, c.Way, out.Revision, out.Objects})
		}
		return out, err
	}
	out.Object, err = readObject(kind, data)
	return out, err
}

func readObject(kind *Kind, data []byte) (Object, error) {
	var content map[string]any
	if err := json.Unmarshal(data, &content); err != nil {
		return Object{}, fmt.Errorf("%w: %.200s", err, data)
	}
	version, err := strconv.ParseUint(at[string](content, "metadata", "resourceVersion"), 10, 64)
	return kind.object(content, version), err
}

func readList(kind *Kind, data []byte) (map[string]Object, uint64, error) {
	var list struct {
		Metadata metav1.ListMeta  `json:"metadata"`
		Items    []map[string]any `json:"items"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, 0, fmt.Errorf("%w: %.200s", err, data)
	}
	objects := map[string]Object{}
	for _, item := range list.Items {
		version, err := strconv.ParseUint(at[string](item, "metadata", "resourceVersion"), 10, 64)
		if err != nil {
			return nil, 0, err
		}
		objects[at[string](item, "metadata", "name")] = kind.object(item, version)
	}
	revision, err := strconv.ParseUint(list.Metadata.ResourceVersion, 10, 64)
	return objects, revision, err
}

// judge says what became of a request that failed.
func (r *Request) judge(err error) {
	r.Err = err
	switch reason := apierrors.ReasonForError(err); {
	case reason == metav1.StatusReasonNotFound && names(err, r.Input.Name):
		r.Output.Result = NotFound
	case reason == metav1.StatusReasonAlreadyExists:
		r.Output.Result = Exists
	case reason == metav1.StatusReasonConflict:
		r.Output.Result = Conflict
	default:
		var status apierrors.APIStatus
		r.Refused = errors.As(err, &status) && status.Status().Code < http.StatusInternalServerError
		r.Lost = !r.Refused
	}
}

// names says whether an error is about an object, and not, say, about the path.
func names(err error, name string) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Name == name
}

// learn has the client know the object as the answer says it is.
func (c *Client) learn(r *Request) {
	if c.known == nil {
		c.known = map[*Kind]map[string]Object{}
		for _, kind := range kinds {
			c.known[kind] = map[string]Object{}
		}
	}
	known := c.known[r.Kind]
	switch {
	case r.Lost || r.Refused:
	case r.Output.Result == NotFound, r.Output.Result == Done && r.Input.Verb == Delete:
		delete(known, r.Input.Name)
	case r.Output.Result == Done && r.Input.Verb == List:
		for name, object := range r.Output.Objects {
			known[name] = object
		}
	case r.Output.Result == Done:
		known[r.Input.Name] = r.Output.Object
	}
}

// check compares lists with what the log says was stored at their versions.
func (s Snapshot) check(stored State) error {
	if got, want := (State{s.Revision, s.Objects}), (State{s.Revision, stored.Objects}); !got.equal(want) {
		return fmt.Errorf("a list of %s by way of %s is %s, and stored was %s", s.Kind.Resource, s.Way, got, want)
	}
	return nil
}
