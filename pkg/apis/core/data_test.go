package core_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func secret() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{"key": []byte("value")}}
}

func configMap() *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"a.b": "c"}, BinaryData: map[string][]byte{"d": {1}}}
}

func TestValidateSecret(t *testing.T) {
	t.Parallel()
	half := strings.Repeat("x", corev1.MaxSecretSize/2)
	validate(t, "Secret", secret, map[string]validateCase[*corev1.Secret]{
		"valid": {func(*corev1.Secret) {}, ""},
		"a TLS Secret has a certificate and a key": {func(s *corev1.Secret) { s.Type = corev1.SecretTypeTLS }, required + "data[tls.crt]\n" + required + "data[tls.key]"},
		"basic auth has a user or a password":      {func(s *corev1.Secret) { s.Type = corev1.SecretTypeBasicAuth }, required + "data[password]\n" + required + "data[username]"},
		"docker configuration exists":              {func(s *corev1.Secret) { s.Type = corev1.SecretTypeDockerConfigJson }, required + "data[.dockerconfigjson]"},
		"a token is of an account":                 {func(s *corev1.Secret) { s.Type = corev1.SecretTypeServiceAccountToken }, required + "metadata.annotations[kubernetes.io/service-account.name]"},
		"data keys have a syntax":                  {func(s *corev1.Secret) { s.Data["a/b"] = nil }, invalid + "data[a/b]"},
		"a Secret is at most 1 MiB":                {func(s *corev1.Secret) { s.StringData = map[string]string{"a": half, "b": half} }, tooLong + "data"},
		"a TLS Secret needs no more": {func(s *corev1.Secret) {
			s.Type, s.StringData = corev1.SecretTypeTLS, map[string]string{"tls.crt": "", "tls.key": ""}
		}, ""},
		"a user or a password will do": {func(s *corev1.Secret) {
			s.Type, s.StringData = corev1.SecretTypeBasicAuth, map[string]string{"password": "p"}
		}, ""},
		"SSH auth has a key": {func(s *corev1.Secret) {
			s.Type, s.StringData = corev1.SecretTypeSSHAuth, map[string]string{"ssh-privatekey": ""}
		}, required + "data[ssh-privatekey]"},
		"docker configuration is JSON": {func(s *corev1.Secret) {
			s.Type, s.StringData = corev1.SecretTypeDockercfg, map[string]string{".dockercfg": "{"}
		}, invalid + "data[.dockercfg]"},
	})
}

func TestValidateConfigMap(t *testing.T) {
	t.Parallel()
	half := strings.Repeat("x", corev1.MaxSecretSize/2)
	validate(t, "ConfigMap", configMap, map[string]validateCase[*corev1.ConfigMap]{
		"valid":                         {func(*corev1.ConfigMap) {}, ""},
		"ConfigMap names may have dots": {func(c *corev1.ConfigMap) { c.Name = "1.b" }, ""},
		"ConfigMap keys have a syntax":  {func(c *corev1.ConfigMap) { c.Data["a/b"], c.BinaryData["c d"] = "", nil }, invalid + "binaryData[c d]\n" + invalid + "data[a/b]"},
		"and are text or binary":        {func(c *corev1.ConfigMap) { c.Data["d"] = "" }, invalid + "data[d]"},
		"a ConfigMap is at most 1 MiB":  {func(c *corev1.ConfigMap) { c.Data["e"], c.BinaryData["f"] = half, []byte(half) }, tooLong + "data"},
	})
}
