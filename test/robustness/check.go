package robustness

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/rest"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/client"
	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

// check compares all that anybody has with what is stored, and with what a fresh replica makes of it. No client writes.
func (r *Run) check(ctx context.Context) error {
	// Which the reference is not to become: a fresh leader would put right what others have left undone.
	if err := eventually(ctx, r.haveLeader); err != nil {
		return err
	}
	reference := &Replica{Replica: r.World.Reference}
	if err := reference.restart(ctx); err != nil {
		return err
	}
	errs := []error{
		eventually(ctx, r.settled),
		r.checkRequests(ctx),
		r.checkFollowers(),
		reference.Stop(),
	}
	err := errors.Join(errs...)
	if err != nil {
		err = errors.Join(err, r.writeTraces())
	}
	return err
}

func (r *Run) haveLeader(ctx context.Context) error {
	for _, replica := range r.World.Replicas {
		if is, err := leads(ctx, replica.Replica, r.World.Kube.Admin); err == nil && is {
			return nil
		}
	}
	return errors.New("no replica leads")
}

// metric is the value of a metric without labels.
func metric(ctx context.Context, replica *cluster.Replica, credentials *rest.Config, name string) (float64, error) {
	config, err := replica.Direct(ctx, credentials)
	if err != nil {
		return 0, err
	}
	api, err := restClient(config)
	if err != nil {
		return 0, err
	}
	data, err := send(ctx, api.Get().AbsPath("/metrics"))
	if err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		if value, is := strings.CutPrefix(lines.Text(), name+" "); is {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("%s has no metric %s", replica.Name, name)
}

// settled says what isn't yet as it must become: statuses, watches and what nodes have.
func (r *Run) settled(ctx context.Context) error {
	until, err := r.log.Complete(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, kind := range kinds {
		state := r.log.At(kind, until)
		if kind.Status {
			errs = append(errs, r.checkStatuses(ctx, kind, state))
		}
		for _, w := range r.watchers {
			if w.Kind == kind {
				errs = append(errs, w.behind(state))
			}
		}
	}
	return errors.Join(append(errs, r.checkNodes(ctx))...)
}

// checkStatuses compares stored statuses with what the reference would write now: it is asked to, in a dry run.
func (r *Run) checkStatuses(ctx context.Context, kind *Kind, state State) error {
	config, err := r.World.Reference.Direct(ctx, r.World.Kube.Admin)
	if err != nil {
		return err
	}
	api, err := restClient(config)
	if err != nil {
		return err
	}
	var errs []error
	for name := range state.Objects {
		stored, err := status(send(ctx, api.Get().AbsPath(kind.path(name))))
		if err != nil {
			return err
		}
		due, err := status(send(ctx, api.Patch(types.MergePatchType).AbsPath(kind.path(name)).Param("dryRun", metav1.DryRunAll).Body([]byte("{}"))))
		if err != nil {
			return err
		}
		if diff := cmp.Diff(due, stored); diff != "" {
			errs = append(errs, fmt.Errorf("the status of %s %s as it should be (-) and as it is (+):\n%s", kind.Name, name, diff))
		}
	}
	return errors.Join(errs...)
}

func status(answer []byte, err error) (any, error) {
	var content map[string]any
	if err == nil {
		err = json.Unmarshal(answer, &content)
	}
	return content["status"], err
}

// checkNodes compares what each node has, and what the replicas would send to a new one, with what the reference sends.
func (r *Run) checkNodes(ctx context.Context) error {
	var errs []error
	want := map[string]Configuration{}
	for _, n := range r.nodes {
		if want[n.Gateway] == nil {
			var err error
			if want[n.Gateway], err = fetch(ctx, r.World.Reference.XDS, n); err != nil {
				return err
			}
			for _, wrong := range want[n.Gateway].dangling(0) {
				errs = append(errs, fmt.Errorf("what the reference sends of %s: %s", n.Gateway, wrong))
			}
			for _, replica := range r.World.Replicas {
				got, err := fetch(ctx, replica.XDS, n)
				if err != nil {
					return err
				}
				for _, wrong := range got.differs(want[n.Gateway]) {
					errs = append(errs, fmt.Errorf("what %s sends of %s: %s", replica.Name, n.Gateway, wrong))
				}
			}
		}
		for _, wrong := range n.differs(want[n.Gateway]) {
			errs = append(errs, fmt.Errorf("%s, a node of %s: %s", n.Name, n.Gateway, wrong))
		}
	}
	return errors.Join(errs...)
}

// fetch reads what a replica sends to a new node.
func fetch(ctx context.Context, address string, n *Node) (Configuration, error) {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	node := n.identity()
	node.Id = "new"
	snapshot, err := client.Fetch(ctx, conn, client.Query{Node: node})
	if err != nil {
		return nil, err
	}
	return configurationOf(snapshot)
}

// checkRequests checks what was answered in the round, which ends with everybody reading everything.
func (r *Run) checkRequests(ctx context.Context) error {
	for _, c := range r.clients {
		for _, kind := range kinds {
			if !c.ask(kind, Input{Verb: List}, nil) {
				return fmt.Errorf("%s can't be listed by way of %s", kind.Resource, c.Way)
			}
		}
	}
	until, err := r.log.Complete(ctx)
	if err != nil {
		return err
	}
	requests, events := r.history.take(), r.log.Between(r.at, until)
	var errs []error
	lost, refused := 0, 0
	var why error
	for _, request := range requests {
		if request.Lost {
			lost++
		}
		if request.Refused {
			refused++
			why = request.Err
		}
	}
	r.Note("round %d: %d requests, of which %d were lost and %d refused (%v); %d changes", r.round, len(requests), lost, refused, why, len(events))
	for _, kind := range kinds {
		found, wrong := checkHistory(kind, r.states[kind], requests, events, r.logs())
		errs = append(errs, wrong...)
		r.history.forget(found)
		r.states[kind] = r.log.At(kind, until)
	}
	for _, s := range r.snapshots.take() {
		if err := s.check(r.log.At(s.Kind, s.Revision)); err != nil {
			errs = append(errs, err)
		}
	}
	r.at = until
	r.changes += len(events)
	if len(errs) > 0 {
		errs = append(errs, r.writeRequests(requests, events))
	}
	return errors.Join(errs...)
}

// checkFollowers checks what watchers and nodes have been told.
func (r *Run) checkFollowers() error {
	var errs []error
	for _, w := range r.watchers {
		errs = append(errs, w.check(r.log)...)
	}
	for _, n := range r.nodes {
		errs = append(errs, n.check()...)
	}
	return errors.Join(errs...)
}

// writeRequests keeps a round for who wants to know more of it.
func (r *Run) writeRequests(requests []*Request, events []Event) error {
	var text strings.Builder
	for _, request := range requests {
		fmt.Fprintln(&text, request)
	}
	for _, e := range events {
		fmt.Fprintf(&text, "stored, seen at %v: %s %s\n", e.Seen, e.Kind.Name, e.sight())
	}
	file := filepath.Join(r.logs(), fmt.Sprintf("round-%d.txt", r.round))
	return errors.Join(fmt.Errorf("the requests and changes of the round are in %s", file), os.WriteFile(file, []byte(text.String()), 0o600))
}

func (r *Run) writeTraces() error {
	var errs []error
	for _, n := range r.nodes {
		file := filepath.Join(r.logs(), fmt.Sprintf("round-%d-%s.txt", r.round, n.Name))
		errs = append(errs, os.WriteFile(file, []byte(n.history()), 0o600))
	}
	return errors.Join(errs...)
}
