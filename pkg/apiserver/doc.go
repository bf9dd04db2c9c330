// Package apiserver assembles the Kubernetes API server: the API groups with their stores, OpenAPI, admission, health.
// It follows the pattern of k8s.io/sample-apiserver: a Config is completed once, and only a completed one makes a Server.
package apiserver
