package router

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// A FilterParser reads what a typed_per_filter_config says to an HTTP filter, and returns it in the form that
// Match.FilterConfig hands out. For a message that it doesn't know, its error is an ErrUnknownFilter.
type FilterParser func(filter string, config *anypb.Any) (any, error)

// ErrUnknownFilter is what the error of a FilterParser wraps for what only FilterConfig.is_optional lets pass.
var ErrUnknownFilter = errors.New("no such filter")

// filterConfigs is what a level of the configuration says of HTTP filters, by their names.
type filterConfigs map[string]filterConfig

type filterConfig struct {
	config   any // nil if there is none
	disabled bool
}

func newFilterConfigs(typed map[string]*anypb.Any, parse FilterParser) (filterConfigs, error) {
	out := filterConfigs{}
	for _, name := range slices.Sorted(maps.Keys(typed)) {
		config, err := newFilterConfig(name, typed[name], parse)
		if err != nil {
			return nil, fmt.Errorf("typed_per_filter_config[%s]: %w", name, err)
		}
		out[name] = config
	}
	return out, nil
}

func newFilterConfig(name string, typed *anypb.Any, parse FilterParser) (filterConfig, error) {
	wrapper := &routev3.FilterConfig{}
	if !typed.MessageIs(wrapper) {
		config, err := parseFilter(name, typed, parse)
		return filterConfig{config: config}, err
	}
	if err := typed.UnmarshalTo(wrapper); err != nil {
		return filterConfig{}, err
	}
	if err := executed.Check(wrapper); err != nil {
		return filterConfig{}, err
	}
	switch {
	case wrapper.GetDisabled():
		return filterConfig{disabled: true}, nil
	case wrapper.GetConfig() == nil:
		return filterConfig{}, errors.New("config: required")
	case wrapper.GetConfig().GetTypeUrl() == "":
		return filterConfig{}, nil // which turns the filter on
	}
	config, err := parseFilter(name, wrapper.GetConfig(), parse)
	if wrapper.GetIsOptional() && errors.Is(err, ErrUnknownFilter) {
		return filterConfig{}, nil
	}
	return filterConfig{config: config}, err
}

func parseFilter(name string, typed *anypb.Any, parse FilterParser) (any, error) {
	if parse == nil {
		return nil, fmt.Errorf("%w: %s", ErrUnknownFilter, typed.GetTypeUrl())
	}
	return parse(name, typed)
}
