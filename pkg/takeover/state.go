package takeover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

// stateName is the ConfigMap with the state of the last move, and the Lease that only one at a time can have.
const stateName = "gateway-apiserver-takeover"

// stateKey is where the ConfigMap has the state.
const stateKey = "state"

// direction is where objects move to.
type direction string

const (
	toServer direction = "takeover"
	toCRDs   direction = "handback"
)

// phase is how far a move has come.
type phase string

const (
	// mirroring goes on while clients write to the old side. Nothing is changed for them.
	mirroring phase = "mirroring"
	// switching begins before the first APIService changes, and ends when what was written until then is caught up.
	switching phase = "switching"
	done      phase = "done"
)

// state is what can't be seen in the cluster about the last move.
type state struct {
	Direction direction `json:"direction,omitempty"`
	Phase     phase     `json:"phase,omitempty"`
	// Horizons are what the old side looked like when it was last known to be mirrored, by CustomResourceDefinition. They
	// are set when the phase is switching.
	Horizons map[string]horizon `json:"horizons,omitempty"`
	// TakenOver says that a takeover was completed since the last handback: what only the CustomResourceDefinitions have
	// was deleted since then.
	TakenOver bool `json:"takenOver,omitempty"`
	// Served are the last horizons of the last takeover that came to the APIServices, if no handback was completed since:
	// beyond them, clients wrote to gateway-apiserver.
	Served map[string]horizon `json:"served,omitempty"`
	// HandedBack is when the last handback was completed: what only gateway-apiserver has, and is older, was deleted since.
	HandedBack *time.Time `json:"handedBack,omitempty"`
}

// store keeps the state in a cluster.
type store struct {
	client    kubernetes.Interface
	namespace string
}

func (s store) load(ctx context.Context) (state, error) {
	cm, err := s.client.CoreV1().ConfigMaps(s.namespace).Get(ctx, stateName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return state{}, nil
	}
	if err != nil {
		return state{}, fmt.Errorf("reading the ConfigMap %s/%s: %w", s.namespace, stateName, err)
	}
	var st state
	if err := json.Unmarshal([]byte(cm.Data[stateKey]), &st); err != nil {
		return state{}, fmt.Errorf("the ConfigMap %s/%s does not have the state of a move in %q: %w", s.namespace, stateName, stateKey, err)
	}
	return st, nil
}

func (s store) save(ctx context.Context, st state) error {
	data, err := json.Marshal(st)
	if err != nil {
		return err
	}
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: stateName, Namespace: s.namespace, Labels: map[string]string{"app.kubernetes.io/name": "gateway-apiserver"}},
		Data:       map[string]string{stateKey: string(data)},
	}
	client := s.client.CoreV1().ConfigMaps(s.namespace)
	_, err = client.Update(ctx, cm, metav1.UpdateOptions{FieldManager: fieldManager})
	if apierrors.IsNotFound(err) {
		_, err = client.Create(ctx, cm, metav1.CreateOptions{FieldManager: fieldManager})
	}
	if err != nil {
		return fmt.Errorf("writing the ConfigMap %s/%s: %w", s.namespace, stateName, err)
	}
	return nil
}

// How long a move that has ended without a word keeps others from running.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

var errLockLost = errors.New("another move has begun, or kube-apiserver did not answer for a while")

// alone runs a move while no other one runs. waiting is called with who has the Lease, if somebody has.
func (s store) alone(ctx context.Context, waiting func(holder string), move func(context.Context) error) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	me := host + "_" + string(uuid.NewUUID())
	leading := make(chan context.Context, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Name: stateName, Namespace: s.namespace},
			Client:     s.client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: me},
		},
		LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) { leading <- ctx },
			OnStoppedLeading: func() {},
			OnNewLeader: func(identity string) {
				if identity != me && identity != "" {
					waiting(identity)
				}
			},
		},
	})
	if err != nil {
		return err
	}
	// The Lease is given up when the move has ended, not when it is told to.
	electing, stop := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), logr.Discard()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		elector.Run(electing)
	}()
	defer func() {
		stop()
		<-ended
	}()
	var held context.Context
	select {
	case held = <-leading:
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(held, func() { cancel(errLockLost) })()
	err = move(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errLockLost) {
		return errLockLost
	}
	return err
}
