package retired

import "testing"

func TestFrontendValidation(t *testing.T) {
	t.Parallel()
	const (
		first  = "spec.listeners[0].tls.frontendValidation -> spec.tls.frontend.perPort[port=443].tls.validation"
		second = "spec.listeners[1].tls.frontendValidation -> spec.tls.frontend.perPort[port=443].tls.validation"
	)
	runRewriteTests(t, []rewriteTest{
		{
			name: "one listener",
			kind: gateway,
			doc: `
spec:
  listeners:
  - {name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}], frontendValidation: {caCertificateRefs: [{name: ca}]}}}`,
			want: `
spec:
  listeners:
  - {name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}
  tls: {frontend: {default: {}, perPort: [{port: 443, tls: {validation: {caCertificateRefs: [{name: ca}], mode: AllowValidOnly}}}]}}`,
			uses: []string{first},
		},
		{
			name: "two ports, and listeners that have nothing to do with it",
			kind: gateway,
			doc: `
spec:
  listeners:
  - {name: a, port: 443, protocol: HTTPS, tls: {frontendValidation: {caCertificateRefs: [{name: ca}]}}}
  - {name: b, port: 443, protocol: HTTPS, tls: {frontendValidation: {caCertificateRefs: [{name: ca}]}}}
  - {name: c, port: 444, protocol: HTTPS, tls: {frontendValidation: {caCertificateRefs: [{name: other}]}}}
  - {name: d, port: 445, protocol: HTTPS, tls: {}}
  - {name: e, port: 443, protocol: TLS, tls: {mode: Passthrough}}
  - {name: f, port: 80, protocol: HTTP}
  tls: {frontend: {default: {validation: {caCertificateRefs: [{name: default}]}}, perPort: [{port: 446, tls: {}}]}}`,
			want: `
spec:
  listeners:
  - {name: a, port: 443, protocol: HTTPS, tls: {}}
  - {name: b, port: 443, protocol: HTTPS, tls: {}}
  - {name: c, port: 444, protocol: HTTPS, tls: {}}
  - {name: d, port: 445, protocol: HTTPS, tls: {}}
  - {name: e, port: 443, protocol: TLS, tls: {mode: Passthrough}}
  - {name: f, port: 80, protocol: HTTP}
  tls:
    frontend:
      default: {validation: {caCertificateRefs: [{name: default}]}}
      perPort:
      - {port: 446, tls: {}}
      - {port: 443, tls: {validation: {caCertificateRefs: [{name: ca}], mode: AllowValidOnly}}}
      - {port: 444, tls: {validation: {caCertificateRefs: [{name: other}], mode: AllowValidOnly}}}`,
			uses: []string{first, second, "spec.listeners[2].tls.frontendValidation -> spec.tls.frontend.perPort[port=444].tls.validation"},
		},
		{
			name: "the same as its successor",
			kind: gateway,
			doc: `
spec:
  listeners: [{port: 443, protocol: HTTPS, tls: {frontendValidation: {caCertificateRefs: [{name: ca}]}}}]
  tls: {frontend: {default: {}, perPort: [{port: 443, tls: {validation: {caCertificateRefs: [{name: ca}]}}}]}}`,
			want: `
spec:
  listeners: [{port: 443, protocol: HTTPS, tls: {}}]
  tls: {frontend: {default: {}, perPort: [{port: 443, tls: {validation: {caCertificateRefs: [{name: ca}], mode: AllowValidOnly}}}]}}`,
			uses: []string{first},
		},
		{
			name: "a successor of another type is left to the decoder",
			kind: gateway,
			doc: `
spec:
  listeners: [{port: 443, protocol: HTTPS, tls: {frontendValidation: {caCertificateRefs: [{name: ca}]}}}]
  tls: {frontend: {default: {}, perPort: {}}}`,
			want: `
spec:
  listeners: [{port: 443, protocol: HTTPS, tls: {}}]
  tls: {frontend: {default: {}, perPort: {}}}`,
			uses: []string{first},
		},
		{
			name: "weaker than its successor",
			kind: gateway,
			doc: `
spec:
  listeners: [{port: 443, protocol: HTTPS, tls: {frontendValidation: {caCertificateRefs: [{name: ca}]}}}]
  tls: {frontend: {default: {}, perPort: [{port: 443, tls: {validation: {caCertificateRefs: [{name: ca}], mode: AllowInsecureFallback}}}]}}`,
			uses: []string{first},
			errs: []string{"spec.listeners[0].tls.frontendValidation: Forbidden: is not what spec.tls.frontend.perPort[0] says"},
		},
		{
			name: "the successor says nothing of clients",
			kind: gateway,
			doc: `
spec:
  listeners: [{port: 443, protocol: HTTPS, tls: {frontendValidation: {caCertificateRefs: [{name: ca}]}}}]
  tls: {frontend: {default: {}, perPort: [{port: 443, tls: {}}]}}`,
			uses: []string{first},
			errs: []string{"is not what spec.tls.frontend.perPort[0] says"},
		},
		{
			name: "a null is nothing",
			kind: gateway,
			doc:  `spec: {listeners: [{port: 443, protocol: HTTPS, tls: {frontendValidation: null}}]}`,
			want: `spec: {listeners: [{port: 443, protocol: HTTPS, tls: {}}]}`,
		},
		{
			name: "listeners of a port differ",
			kind: gateway,
			doc: `
spec:
  listeners:
  - {port: 443, protocol: HTTPS, tls: {frontendValidation: {caCertificateRefs: [{name: ca}]}}}
  - {port: 443, protocol: HTTPS, tls: {frontendValidation: {caCertificateRefs: [{name: other}]}}}`,
			uses: []string{first, second},
			errs: []string{"spec.listeners[1].tls.frontendValidation: Forbidden: must be as in spec.listeners[0]"},
		},
		{
			name: "only some listeners of a port have it",
			kind: gateway,
			doc: `
spec:
  listeners:
  - {port: 443, protocol: HTTPS}
  - {port: 443, protocol: HTTPS, tls: {frontendValidation: {caCertificateRefs: [{name: ca}]}}}
  - {port: 443, protocol: HTTPS, tls: {frontendValidation: {caCertificateRefs: [{name: ca}]}}}
  - {port: 443, protocol: HTTPS, tls: {frontendValidation: null}}`,
			uses: []string{second, "spec.listeners[2].tls.frontendValidation -> spec.tls.frontend.perPort[port=443].tls.validation"},
			errs: []string{
				"spec.listeners[0].tls.frontendValidation: Forbidden: must be set, because spec.listeners[1] has it on port 443",
				"spec.listeners[3].tls.frontendValidation: Forbidden: must be set, because spec.listeners[1] has it on port 443",
			},
		},
		{
			name: "no certificates, no port, no HTTPS, no such field",
			kind: gateway,
			doc: `
spec:
  listeners:
  - {port: 443, protocol: HTTPS, tls: {frontendValidation: {}}}
  - {protocol: HTTPS, tls: {frontendValidation: {caCertificateRefs: [{name: ca}]}}}
  - {port: 444, protocol: TLS, tls: {frontendValidation: {caCertificateRefs: [{name: ca}]}}}
  - {port: 445, protocol: HTTPS, tls: {frontendValidation: {caCertificateRefs: [{name: ca}], mode: x}}}
  - {port: 446, protocol: HTTPS, tls: {frontendValidation: yes}}`,
			uses: []string{
				first,
				"spec.listeners[1].tls.frontendValidation -> spec.tls.frontend.perPort[].tls.validation",
				"spec.listeners[2].tls.frontendValidation -> spec.tls.frontend.perPort[port=444].tls.validation",
				"spec.listeners[3].tls.frontendValidation -> spec.tls.frontend.perPort[port=445].tls.validation",
				"spec.listeners[4].tls.frontendValidation -> spec.tls.frontend.perPort[port=446].tls.validation",
			},
			errs: []string{
				"spec.listeners[0].tls.frontendValidation: Forbidden: caCertificateRefs must",
				"spec.listeners[1].tls.frontendValidation: Forbidden: the listener must have its port",
				"spec.listeners[2].tls.frontendValidation: Forbidden: the certificates of clients are only validated by listeners with protocol HTTPS",
				"spec.listeners[3].tls.frontendValidation.mode: Forbidden: unknown field",
				"spec.listeners[4].tls.frontendValidation: Forbidden: caCertificateRefs must",
			},
		},
		{
			name: "a patch is left as it is",
			kind: gateway, form: MergePatch,
			doc:  `spec: {listeners: [{port: 443, protocol: HTTPS, tls: {frontendValidation: {caCertificateRefs: [{name: ca}]}}}]}`,
			uses: []string{first},
			left: true,
		},
		{
			name: "a patch in which listeners differ",
			kind: gateway, form: MergePatch,
			doc: `
spec:
  listeners:
  - {port: 443, protocol: HTTPS, tls: {frontendValidation: {caCertificateRefs: [{name: ca}]}}}
  - {port: 443, protocol: HTTPS, tls: {}}`,
			uses: []string{first},
			errs: []string{"spec.listeners[1].tls.frontendValidation: Forbidden: must be set"},
		},
		{
			name: "a patch that sets the successor to something else",
			kind: gateway, form: MergePatch,
			doc: `
spec:
  listeners: [{port: 443, protocol: HTTPS, tls: {frontendValidation: {caCertificateRefs: [{name: ca}]}}}]
  tls: {frontend: {perPort: [{port: 443, tls: {}}]}}`,
			uses: []string{first},
			errs: []string{"is not what spec.tls.frontend.perPort[0] says"},
		},
		{
			name: "an object that has been patched",
			kind: gateway, form: Patched,
			doc: `
spec:
  listeners:
  - {port: 443, protocol: HTTPS, tls: {frontendValidation: {caCertificateRefs: [{name: new}]}}}
  - {port: 444, protocol: HTTPS, tls: {}}
  tls:
    frontend:
      default: {validation: {caCertificateRefs: [{name: default}]}}
      perPort:
      - {port: 443, tls: {validation: {caCertificateRefs: [{name: old}], mode: AllowInsecureFallback}}}
      - {port: 444, tls: {validation: {caCertificateRefs: [{name: other}]}}}`,
			want: `
spec:
  listeners:
  - {port: 443, protocol: HTTPS, tls: {}}
  - {port: 444, protocol: HTTPS, tls: {}}
  tls:
    frontend:
      default: {validation: {caCertificateRefs: [{name: default}]}}
      perPort:
      - {port: 443, tls: {validation: {caCertificateRefs: [{name: new}], mode: AllowValidOnly}}}
      - {port: 444, tls: {validation: {caCertificateRefs: [{name: other}]}}}`,
			uses: []string{first},
		},
		{
			name: "a ListenerSet has no successor",
			kind: listenerSet,
			doc: `
spec:
  listeners:
  - {port: 443, protocol: HTTPS, tls: {frontendValidation: null}}
  - {port: 443, protocol: HTTPS, tls: {frontendValidation: {caCertificateRefs: [{name: ca}]}}}`,
			uses: []string{"spec.listeners[1].tls.frontendValidation -> spec.tls.frontend of the Gateway"},
			errs: []string{"spec.listeners[1].tls.frontendValidation: Forbidden: was retired in Gateway API v1.4, and a set of listeners can't ask"},
		},
	})
}
