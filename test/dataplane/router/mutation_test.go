package router

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// lines returns headers as "name=value,value" in order.
func lines(h http.Header) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		out = append(out, name+"="+strings.Join(h[name], "|"))
	}
	return strings.Join(out, " ")
}

func TestMutation(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, add, remove, before, want string }{
		{"appending is the default", `[{header: {key: a, value: "2"}}]`, `[]`, "A=1", "A=1|2"},
		{"append", `[{header: {key: a, value: "2"}, append_action: APPEND_IF_EXISTS_OR_ADD}]`, `[]`, "", "A=2"},
		{"overwrite", `[{header: {key: a, value: "2"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]`, `[]`, "A=1|3", "A=2"},
		{"overwrite what isn't there", `[{header: {key: a, value: "2"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]`, `[]`, "", "A=2"},
		{"overwrite if it exists", `[{header: {key: a, value: "2"}, append_action: OVERWRITE_IF_EXISTS}, {header: {key: b, value: "2"}, append_action: OVERWRITE_IF_EXISTS}]`, `[]`, "A=1", "A=2"},
		{"add if absent", `[{header: {key: a, value: "2"}, append_action: ADD_IF_ABSENT}, {header: {key: b, value: "2"}, append_action: ADD_IF_ABSENT}]`, `[]`, "A=1", "A=1 B=2"},
		{"absence is judged before", `[{header: {key: a, value: "1"}, append_action: ADD_IF_ABSENT}, {header: {key: a, value: "2"}, append_action: ADD_IF_ABSENT}]`, `[]`, "", "A=1|2"},
		{"overwriting comes before appending", `[{header: {key: a, value: "1"}}, {header: {key: a, value: "2"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]`, `[]`, "A=0", "A=2|1"},
		{"the last overwrites", `[{header: {key: a, value: "1"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}, {header: {key: A, value: "2"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]`, `[]`, "", "A=2"},
		{"remove", `[]`, `[A, x-y]`, "A=1|2 B=1 X-Y=1", "B=1"},
		{"removal comes first", `[{header: {key: a, value: "2"}}, {header: {key: b, value: "2"}, append_action: OVERWRITE_IF_EXISTS}]`, `[a, b]`, "A=1 B=1", "A=2"},
		{"an empty value is nothing", `[{header: {key: a, value: ""}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]`, `[]`, "A=1", "A=1"},
		{"an empty value that is kept", `[{header: {key: a, value: ""}, append_action: OVERWRITE_IF_EXISTS_OR_ADD, keep_empty_value: true}]`, `[]`, "A=1", "A="},
		{"percent signs", `[{header: {key: a, value: "100%% %%%%x%%"}}]`, `[]`, "", "A=100% %%x%"},
		{"headers of one line", `[{header: {key: user-agent, value: b}}, {header: {key: content-type, value: c}}]`, `[]`, "User-Agent=a", "Content-Type=c User-Agent=a,b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			table := compiled(t, withRoutes(`
  - match: {prefix: /request}
    route: {cluster: c}
    request_headers_to_add: `+tt.add+`
    request_headers_to_remove: `+tt.remove+`
  - match: {prefix: /response}
    route: {cluster: c}
    response_headers_to_add: `+tt.add+`
    response_headers_to_remove: `+tt.remove))
			before := func() http.Header {
				h := http.Header{}
				for _, line := range strings.Fields(tt.before) {
					name, values, _ := strings.Cut(line, "=")
					h[name] = strings.Split(values, "|")
				}
				return h
			}
			r := request("GET http://a.test/request")
			r.Header = before()
			table.Match(r).RewriteRequest(r, false)
			if got := lines(r.Header); got != tt.want {
				t.Errorf("request: got %s, want %s", got, tt.want)
			}
			response := before()
			table.Match(request("GET http://a.test/response")).MutateResponse(response)
			if got := lines(response); got != tt.want {
				t.Errorf("response: got %s, want %s", got, tt.want)
			}
		})
	}
}

// The cluster's come first, then from the route up to the route configuration, or the other way round.
func TestMutationOrder(t *testing.T) {
	t.Parallel()
	level := func(value string) string {
		add := `[{header: {key: append, value: ` + value + `}}, {header: {key: overwrite, value: ` + value + `}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]`
		return `request_headers_to_add: ` + add + `, request_headers_to_remove: [no-` + value + `], response_headers_to_add: ` + add
	}
	config := func(mostSpecificWins string) string {
		return `{most_specific_header_mutations_wins: ` + mostSpecificWins + `, ` + level("all") + `, virtual_hosts: [{name: v, domains: ["*"], ` + level("host") + `, routes: [
  {match: {prefix: /weighted}, ` + level("route") + `, route: {weighted_clusters: {clusters: [{name: c, weight: 1, ` + level("cluster") + `}]}}},
  {match: {prefix: /}, ` + level("route") + `, route: {cluster: c}}]}]}`
	}
	for _, tt := range []struct{ wins, path, want string }{
		{"false", "/", "Append=route|host|all Overwrite=all"},
		{"true", "/", "Append=all|host|route Overwrite=route"},
		{"false", "/weighted", "Append=cluster|route|host|all Overwrite=all"},
		{"true", "/weighted", "Append=cluster|all|host|route Overwrite=route"},
	} {
		table := compiled(t, config(tt.wins))
		r := request("GET http://a.test"+tt.path, "no-all: 1", "no-host: 1", "no-route: 1")
		delete(r.Header, "X-Forwarded-Proto")
		m := table.Match(r)
		m.RewriteRequest(r, false)
		response := http.Header{}
		m.MutateResponse(response)
		if request, response := lines(r.Header), lines(response); request != tt.want || response != tt.want {
			t.Errorf("most specific wins: %s, %s: got %s and %s, want %s", tt.wins, tt.path, request, response, tt.want)
		}
	}
}

// What a less specific level adds is removed by a more specific one only if that comes later.
func TestRemoveAdded(t *testing.T) {
	t.Parallel()
	const config = `, response_headers_to_add: [{header: {key: cache-control, value: private}}], virtual_hosts: [{name: v, domains: ["*"], routes: [
  {match: {prefix: /}, response_headers_to_remove: [cache-control], direct_response: {status: 200}}]}]}`
	for wins, want := range map[string]string{"true": "", "false": "private"} {
		h := http.Header{"Cache-Control": {"public"}}
		compiled(t, `{most_specific_header_mutations_wins: `+wins+config).Match(request("GET http://a.test/")).MutateResponse(h)
		if got := h.Get("Cache-Control"); got != want {
			t.Errorf("most specific wins: %s: got %q, want %q", wins, got, want)
		}
	}
}
