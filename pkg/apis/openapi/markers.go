package openapi

import (
	"regexp"
	"strings"

	"k8s.io/kube-openapi/pkg/validation/spec"
)

var (
	// notes are what descriptions say to developers of implementations, and official CRDs leave out.
	notes = regexp.MustCompile(`(?s)\s*<gateway:util:excludeFromCRD>.*?</gateway:util:excludeFromCRD>`)
	// markers tell the generator of the CRDs what else to do, or enclose text of one channel.
	markers = regexp.MustCompile(`[ \t]*</?gateway:[a-zA-Z:]+(?:[a-z]+="[^"]*",?)*[^">]*>`)
	gaps    = regexp.MustCompile(`\n{3,}`)
)

// withoutMarkers makes of the descriptions in the Go types what users should read, as the generator of the official CRDs does.
func withoutMarkers(schema *spec.Schema) {
	if strings.Contains(schema.Description, "<gateway:") {
		text := markers.ReplaceAllString(notes.ReplaceAllString(schema.Description, ""), "")
		schema.Description = strings.TrimSpace(gaps.ReplaceAllString(text, "\n\n"))
	}
	for name, property := range schema.Properties {
		withoutMarkers(&property)
		schema.Properties[name] = property
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		withoutMarkers(schema.Items.Schema)
	}
}
