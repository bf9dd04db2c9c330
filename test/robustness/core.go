package robustness

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// changeCore changes Services and EndpointSlices until ctx ends. Kube-apiserver answers for these; what replicas make of them
// shows in statuses and in what nodes have.
func changeCore(ctx context.Context, client kubernetes.Interface, random *rand.Rand) error {
	for {
		namespace, name := pick(random, appNamespace, backendNamespace), pick(random, services...)
		var err error
		switch n := random.IntN(10); {
		case n == 0:
			err = client.CoreV1().Services(namespace).Delete(ctx, name, metav1.DeleteOptions{})
		case n == 1:
			err = client.DiscoveryV1().EndpointSlices(namespace).Delete(ctx, name, metav1.DeleteOptions{})
		case n < 5:
			_, err = client.CoreV1().Services(namespace).Create(ctx, service(name), metav1.CreateOptions{})
		default:
			err = putSlice(ctx, client, namespace, slice(name, random))
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsAlreadyExists(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("changing %s/%s: %w", namespace, name, err)
		}
		if !sleep(ctx, time.Duration(random.IntN(300))*time.Millisecond) {
			return nil
		}
	}
}

// makeCore makes all Services, so that a history begins with something to route to.
func makeCore(ctx context.Context, client kubernetes.Interface, random *rand.Rand) error {
	for _, namespace := range []string{appNamespace, backendNamespace} {
		for _, name := range services {
			if _, err := client.CoreV1().Services(namespace).Create(ctx, service(name), metav1.CreateOptions{}); err != nil {
				return err
			}
			if err := putSlice(ctx, client, namespace, slice(name, random)); err != nil {
				return err
			}
		}
	}
	return nil
}

// service has no selector: its EndpointSlices are ours.
func service(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}}},
	}
}

func slice(name string, random *rand.Rand) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8000 + random.IntN(9))), Protocol: new(corev1.ProtocolTCP)}},
	}
	for range random.IntN(4) {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses:  []string{fmt.Sprintf("10.0.0.%d", 1+random.IntN(250))},
			Conditions: discoveryv1.EndpointConditions{Ready: new(random.IntN(4) > 0)},
		})
	}
	return s
}

func putSlice(ctx context.Context, client kubernetes.Interface, namespace string, s *discoveryv1.EndpointSlice) error {
	slices := client.DiscoveryV1().EndpointSlices(namespace)
	_, err := slices.Update(ctx, s, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = slices.Create(ctx, s, metav1.CreateOptions{})
	}
	return err
}
