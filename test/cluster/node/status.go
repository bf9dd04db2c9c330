//go:build linux

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// writeStatus has the API know how the Pod is, if it doesn't.
func (p *pod) writeStatus(ctx context.Context) error {
	status := p.status()
	if p.written != nil && equality.Semantic.DeepEqual(status, p.written) {
		return nil
	}
	before := &corev1.Pod{}
	if p.written != nil {
		before.Status = *p.written
	}
	patch, err := difference(before, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: p.uid}, Status: *status})
	if err != nil {
		return err
	}
	_, err = p.node.client.CoreV1().Pods(p.key.Namespace).Patch(ctx, p.key.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // it is gone, and another one may have its name
	}
	if err == nil {
		p.written = status
	}
	return err
}

// difference returns the strategic merge patch, which leaves alone what others write, such as conditions of other types.
func difference(before, after *corev1.Pod) ([]byte, error) {
	old, err := json.Marshal(before)
	if err != nil {
		return nil, err
	}
	current, err := json.Marshal(after)
	if err != nil {
		return nil, err
	}
	return strategicpatch.CreateTwoWayMergePatch(old, current, corev1.Pod{})
}

// status returns the status of the Pod as a kubelet writes it.
func (p *pod) status() *corev1.PodStatus {
	object := p.latest.Load()
	status := &corev1.PodStatus{
		Phase:              corev1.PodPending,
		ObservedGeneration: object.Generation,
		StartTime:          &p.since,
		HostIP:             Address.String(),
		HostIPs:            []corev1.HostIP{{IP: Address.String()}},
	}
	if p.sandbox != nil {
		status.PodIP = p.sandbox.addr.String()
		status.PodIPs = []corev1.PodIP{{IP: status.PodIP}}
	}
	var unready []string
	begun := true
	for _, c := range object.Spec.Containers {
		s := p.containerStatus(&c)
		status.ContainerStatuses = append(status.ContainerStatuses, s)
		if !s.Ready {
			unready = append(unready, c.Name)
		}
		begun = begun && s.ContainerID != ""
	}
	if begun {
		status.Phase = corev1.PodRunning
	}
	if r, err := p.runner(sidecarName); err == nil && !r.view().ready {
		unready = append(unready, sidecarName)
	}
	p.setCondition(status, corev1.PodReadyToStartContainers, p.sandbox != nil, "", "")
	p.setCondition(status, corev1.PodInitialized, true, "", "")
	var reason, message string
	if len(unready) > 0 {
		reason, message = "ContainersNotReady", fmt.Sprintf("containers with unready status: [%s]", strings.Join(unready, " "))
	}
	p.setCondition(status, corev1.ContainersReady, len(unready) == 0, reason, message)
	p.setCondition(status, corev1.PodReady, len(unready) == 0, reason, message)
	p.setCondition(status, corev1.PodScheduled, true, "", "")
	return status
}

func (p *pod) setCondition(status *corev1.PodStatus, kind corev1.PodConditionType, is bool, reason, message string) {
	c := corev1.PodCondition{
		Type: kind, Status: corev1.ConditionFalse, Reason: reason, Message: message,
		ObservedGeneration: status.ObservedGeneration, LastTransitionTime: metav1.Now(),
	}
	if is {
		c.Status = corev1.ConditionTrue
	}
	if p.written != nil {
		i := slices.IndexFunc(p.written.Conditions, func(before corev1.PodCondition) bool { return before.Type == kind })
		if i >= 0 && p.written.Conditions[i].Status == c.Status {
			c.LastTransitionTime = p.written.Conditions[i].LastTransitionTime
		}
	}
	status.Conditions = append(status.Conditions, c)
}

func (p *pod) containerStatus(c *corev1.Container) corev1.ContainerStatus {
	status := corev1.ContainerStatus{Name: c.Name, Image: c.Image, ImageID: c.Image, Started: new(false)}
	r, err := p.runner(c.Name)
	if err != nil {
		status.State.Waiting = p.waiting()
		return status
	}
	state := r.view()
	status.ContainerID, status.RestartCount = state.id, state.restarts
	status.Ready, status.Started = state.ready, &state.started
	switch {
	case state.running != nil:
		status.State.Running = state.running
	case state.waiting != nil:
		status.State.Waiting = state.waiting
	case state.last != nil:
		status.State.Terminated = state.last
		return status
	default:
		status.State.Waiting = p.waiting()
	}
	if state.last != nil {
		status.LastTerminationState.Terminated = state.last
	}
	return status
}

// waiting says why no container has been started.
func (p *pod) waiting() *corev1.ContainerStateWaiting {
	w := &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
	if p.problem == nil {
		return w
	}
	w.Message = p.problem.Error()
	if why := (problem{}); errors.As(p.problem, &why) {
		w.Reason = why.reason
	}
	return w
}
