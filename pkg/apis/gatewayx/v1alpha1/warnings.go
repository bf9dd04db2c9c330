package v1alpha1

import "fmt"

// Warnings names the listeners that wait for a port: nobody chooses one for them here.
func (s *XListenerSet) Warnings() (warnings []string) {
	for i, listener := range s.Spec.Listeners {
		if listener.Port == 0 {
			warnings = append(warnings, fmt.Sprintf("spec.listeners[%d].port: this server does not choose ports, so listener %s has none until it is set", i, listener.Name))
		}
	}
	return warnings
}
