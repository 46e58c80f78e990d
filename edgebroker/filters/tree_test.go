package filters

import (
	"slices"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/topic"
)

// FuzzTreeAgreesWithMatch adds the filters of a text and removes every other one, and
// compares what the tree finds for a name with each filter by itself.
func FuzzTreeAgreesWithMatch(f *testing.F) {
	f.Add("a/b a/+ +/b # a/# a/b/# +/+ + a //", "a/b")
	f.Add("# +/x $SYS/# $SYS/+ $SYS/x", "$SYS/x")
	f.Add("/ /+ +/ +/+ +", "/")
	f.Add("a/# a a/+/# a/b/c/#", "a")
	f.Fuzz(func(t *testing.T, text, name string) {
		filters := slices.DeleteFunc(strings.Fields(text), func(s string) bool { return !topic.ValidFilter(s) })
		slices.Sort(filters)
		filters = slices.Compact(filters)
		if !topic.ValidName(name) || len(filters) > 100 {
			return
		}
		var tree Tree[string]
		for _, filter := range filters {
			*tree.At(filter) = filter
		}
		for i, filter := range filters {
			if i%2 == 1 {
				tree.Remove(filter)
				tree.Remove(filter)
			}
		}
		var want, got []string
		for i, filter := range filters {
			if there := tree.Get(filter) != nil; there != (i%2 == 0) {
				t.Fatalf("%q is there: %v", filter, there)
			}
			if i%2 == 0 && topic.Match(filter, name) {
				want = append(want, filter)
			}
		}
		tree.Match(name, func(value *string) { got = append(got, *value) })
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("%q matches %q, want %q of %q", name, got, want, filters)
		}
		for _, filter := range filters {
			tree.Remove(filter)
		}
		if len(tree.root.children) != 0 {
			t.Fatalf("%d levels are left of %q", len(tree.root.children), filters)
		}
	})
}
