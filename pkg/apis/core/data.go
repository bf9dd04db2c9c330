package core

import (
	"encoding/json"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Secrets and ConfigMaps: maps of named data with one limit on their size, and with the right to be immutable.

const immutableData = "field is immutable when `immutable` is set"

func validateSecret(secret *corev1.Secret) field.ErrorList {
	path := field.NewPath("data")
	var errs field.ErrorList
	size := 0
	for _, key := range slices.Sorted(maps.Keys(secret.Data)) {
		errs = append(errs, each(path.Key(key), key, utilvalidation.IsConfigMapKey(key))...)
		size += len(secret.Data[key])
	}
	if size > corev1.MaxSecretSize {
		errs = append(errs, field.TooLong(path, "", corev1.MaxSecretSize))
	}
	return append(errs, validateSecretType(secret, path)...)
}

// validateSecretType checks that a Secret has the data that its type promises. Whether a certificate parses is not
// checked: that a listener cannot use it is said in the Gateway's status.
func validateSecretType(secret *corev1.Secret, path *field.Path) field.ErrorList {
	has := func(key string) bool { _, ok := secret.Data[key]; return ok }
	var errs field.ErrorList
	require := func(keys ...string) {
		for _, key := range keys {
			if !has(key) {
				errs = append(errs, field.Required(path.Key(key), ""))
			}
		}
	}
	switch secret.Type {
	case corev1.SecretTypeTLS:
		require(corev1.TLSCertKey, corev1.TLSPrivateKeyKey)
	case corev1.SecretTypeSSHAuth:
		if len(secret.Data[corev1.SSHAuthPrivateKey]) == 0 {
			errs = append(errs, field.Required(path.Key(corev1.SSHAuthPrivateKey), ""))
		}
	case corev1.SecretTypeBasicAuth:
		if !has(corev1.BasicAuthUsernameKey) && !has(corev1.BasicAuthPasswordKey) {
			require(corev1.BasicAuthUsernameKey, corev1.BasicAuthPasswordKey)
		}
	case corev1.SecretTypeServiceAccountToken:
		if secret.Annotations[corev1.ServiceAccountNameKey] == "" {
			errs = append(errs, field.Required(field.NewPath("metadata", "annotations").Key(corev1.ServiceAccountNameKey), ""))
		}
	case corev1.SecretTypeDockercfg:
		require(corev1.DockerConfigKey)
		errs = append(errs, validateJSON(secret.Data, corev1.DockerConfigKey, path)...)
	case corev1.SecretTypeDockerConfigJson:
		require(corev1.DockerConfigJsonKey)
		errs = append(errs, validateJSON(secret.Data, corev1.DockerConfigJsonKey, path)...)
	}
	return errs
}

func validateJSON(data map[string][]byte, key string, path *field.Path) field.ErrorList {
	if value, ok := data[key]; ok && !json.Valid(value) {
		return field.ErrorList{field.Invalid(path.Key(key), "<secret contents redacted>", "must be valid JSON")}
	}
	return nil
}

func validateSecretChange(secret, old *corev1.Secret) field.ErrorList {
	errs := validation.ValidateImmutableField(secret.Type, old.Type, field.NewPath("type"))
	if old.Immutable == nil || !*old.Immutable {
		return errs
	}
	errs = append(errs, validateStaysImmutable(secret.Immutable)...)
	if !equality.Semantic.DeepEqual(secret.Data, old.Data) {
		errs = append(errs, field.Forbidden(field.NewPath("data"), immutableData))
	}
	return errs
}

func validateConfigMap(config *corev1.ConfigMap) field.ErrorList {
	var errs field.ErrorList
	size := 0
	for _, key := range slices.Sorted(maps.Keys(config.Data)) {
		path := field.NewPath("data").Key(key)
		errs = append(errs, each(path, key, utilvalidation.IsConfigMapKey(key))...)
		if _, ok := config.BinaryData[key]; ok {
			errs = append(errs, field.Invalid(path, key, "duplicate of key present in binaryData"))
		}
		size += len(config.Data[key])
	}
	for _, key := range slices.Sorted(maps.Keys(config.BinaryData)) {
		errs = append(errs, each(field.NewPath("binaryData").Key(key), key, utilvalidation.IsConfigMapKey(key))...)
		size += len(config.BinaryData[key])
	}
	if size > corev1.MaxSecretSize {
		errs = append(errs, field.TooLong(field.NewPath("data"), "", corev1.MaxSecretSize))
	}
	return errs
}

func validateConfigMapChange(config, old *corev1.ConfigMap) field.ErrorList {
	if old.Immutable == nil || !*old.Immutable {
		return nil
	}
	errs := validateStaysImmutable(config.Immutable)
	if !equality.Semantic.DeepEqual(config.Data, old.Data) {
		errs = append(errs, field.Forbidden(field.NewPath("data"), immutableData))
	}
	if !equality.Semantic.DeepEqual(config.BinaryData, old.BinaryData) {
		errs = append(errs, field.Forbidden(field.NewPath("binaryData"), immutableData))
	}
	return errs
}

func validateStaysImmutable(immutable *bool) field.ErrorList {
	if immutable != nil && *immutable {
		return nil
	}
	return field.ErrorList{field.Forbidden(field.NewPath("immutable"), immutableData)}
}
