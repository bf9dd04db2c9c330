package selfsigned

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/retry"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// publish makes the caBundle of our APIServices the bundle of an authority, and says whether all of them trust its CA
// now, and whether all of them did before.
func (c *Config) publish(ctx context.Context, a *authority) (now, before bool, err error) {
	now, before = true, true
	var errs []error
	for _, name := range c.APIServiceNames {
		err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
			apiService, err := c.APIServices.Get(ctx, name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			if err != nil {
				return err
			}
			patch, err := c.patch(apiService, a.bundle)
			if patch == nil || err != nil {
				return err
			}
			before = before && trusts(apiService, a.ca.Certificate())
			_, err = c.APIServices.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
			return err
		})
		if err != nil && !apierrors.IsNotFound(err) { // or it has just been deleted
			now = false
			errs = append(errs, fmt.Errorf("publishing the CA in the APIService %s: %w", name, err))
		}
	}
	return now, before, errors.Join(errs...)
}

// patch returns the JSON merge patch that makes an APIService trust a bundle, and nothing else. It is nil if the APIService
// does already, or is not ours. It applies only to the APIService as it is.
func (c *Config) patch(apiService *apiregistrationv1.APIService, bundle []byte) ([]byte, error) {
	spec := &apiService.Spec
	if !c.owns(apiService) || bytes.Equal(spec.CABundle, bundle) && !spec.InsecureSkipTLSVerify {
		return nil, nil
	}
	return json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": apiService.ResourceVersion},
		"spec":     map[string]any{"caBundle": bundle, "insecureSkipTLSVerify": nil},
	})
}

// owns says whether an APIService sends its requests to our Service.
func (c *Config) owns(apiService *apiregistrationv1.APIService) bool {
	service := apiService.Spec.Service
	return service != nil && service.Namespace == c.Namespace && service.Name == c.Service
}

func trusts(apiService *apiregistrationv1.APIService, ca *x509.Certificate) bool {
	return slices.ContainsFunc(bundleOf(apiService), ca.Equal)
}

// bundleOf returns what an APIService trusts: nothing, if that cannot be read.
func bundleOf(apiService *apiregistrationv1.APIService) []*x509.Certificate {
	certs, err := cert.ParseCertsPEM(apiService.Spec.CABundle)
	if err != nil {
		return nil
	}
	return certs
}

// published returns the CAs that our APIServices trust.
func (c *Config) published(ctx context.Context) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, name := range c.APIServiceNames {
		apiService, err := c.APIServices.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading what the APIService %s trusts: %w", name, err)
		}
		if c.owns(apiService) {
			all = union(all, bundleOf(apiService))
		}
	}
	return all, nil
}
