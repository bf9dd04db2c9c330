package garbage

import "testing"

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		owners        []ownerState
		hasDependents bool
		want          verdict
	}{
		{name: "no owners", want: keep},
		{name: "no owners, dependents", hasDependents: true, want: keep},
		{name: "one owner", owners: []ownerState{solid}, want: keep},
		{name: "owner gone", owners: []ownerState{gone}, want: collect},
		{name: "owner gone, dependents", owners: []ownerState{gone}, hasDependents: true, want: collect},
		{name: "all owners gone", owners: []ownerState{gone, gone}, want: collect},
		{name: "one of two gone", owners: []ownerState{gone, solid}, want: release},
		{name: "owner waits", owners: []ownerState{waits}, want: collect},
		{name: "owner waits, dependents", owners: []ownerState{waits}, hasDependents: true, want: collectForeground},
		{name: "one gone, one waits", owners: []ownerState{gone, waits}, hasDependents: true, want: collectForeground},
		{name: "one of two waits", owners: []ownerState{solid, waits}, hasDependents: true, want: release},
		{name: "one of each", owners: []ownerState{waits, gone, solid}, want: release},
	} {
		if got := judge(tt.owners, tt.hasDependents); got != tt.want {
			t.Errorf("%s: got verdict %d, want %d", tt.name, got, tt.want)
		}
	}
}
