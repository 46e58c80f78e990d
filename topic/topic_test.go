package topic

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestNamesAndFiltersAreToldApart(t *testing.T) {
	for _, c := range []struct {
		text         string
		name, filter bool
	}{
		{"a", true, true},
		{"/", true, true},
		{"a//b", true, true},
		{"$SYS/a", true, true},
		{"+", false, true},
		{"#", false, true},
		{"a/+/b", false, true},
		{"a/#", false, true},
		{"+/+/#", false, true},
		{"", false, false},
		{"a+/b", false, false},
		{"a#", false, false},
		{"a/#/b", false, false},
		{"a/b#", false, false},
		{"a\x00b", false, false},
		{"a\xff", false, false},
		{strings.Repeat("x", MaxLength), true, true},
		{strings.Repeat("x", MaxLength+1), false, false},
	} {
		if got := ValidName(c.text); got != c.name {
			t.Errorf("ValidName(%.20q) = %v", c.text, got)
		}
		if got := ValidFilter(c.text); got != c.filter {
			t.Errorf("ValidFilter(%.20q) = %v", c.text, got)
		}
	}
}

func TestSharedSubscriptionIsTakenApart(t *testing.T) {
	for _, c := range []struct {
		text, group, filter string
		ok                  bool
	}{
		{"a/b", "", "a/b", true},
		{"$share/g/a/b", "g", "a/b", true},
		{"$share/g//", "g", "/", true},
		{"$share", "", "$share", false},
		{"$share/", "", "", false},
		{"$share/g", "g", "", false},
		{"$share//a", "", "a", false},
		{"$share/g+/a", "g+", "a", false},
		{"$SHARE/g/a", "", "$SHARE/g/a", true},
	} {
		group, filter, ok := Shared(c.text)
		if group != c.group || filter != c.filter || ok != c.ok {
			t.Errorf("Shared(%q) = %q, %q, %v", c.text, group, filter, ok)
		}
	}
}

func TestMatchFollowsTheStandard(t *testing.T) {
	for _, c := range []struct {
		filter, name string
		match        bool
	}{
		{"a/b", "a/b", true},
		{"a/b", "a/b/c", false},
		{"a/+", "a/b", true},
		{"a/+", "a", false},
		{"a/+", "a/", true},
		{"a/+/c", "a/b/c", true},
		{"a/#", "a", true},
		{"a/#", "a/b/c", true},
		{"a/#", "ab", false},
		{"+/#", "a", true},
		{"#", "a/b", true},
		{"#", "$SYS/a", false},
		{"+/a", "$SYS/a", false},
		{"$SYS/#", "$SYS/a", true},
		{"+", "/a", false},
		{"+/+", "/a", true},
		{"/+", "/a", true},
	} {
		if got := Match(c.filter, c.name); got != c.match {
			t.Errorf("Match(%q, %q) = %v", c.filter, c.name, got)
		}
	}
	if !Within("#", "$SYS/a") {
		t.Error("a grant of # must hold for $SYS/a")
	}
}

// TestCoversAndOverlapsAgreeWithEveryTopic compares both with all names up to
// four levels over an alphabet of three, one of which no filter uses.
func TestCoversAndOverlapsAgreeWithEveryTopic(t *testing.T) {
	var names []string
	var grow func(prefix string, levels int)
	grow = func(prefix string, levels int) {
		for _, level := range []string{"a", "b", "other"} {
			names = append(names, prefix+level)
			if levels > 1 {
				grow(prefix+level+"/", levels-1)
			}
		}
	}
	grow("", 4)
	random := rand.New(rand.NewPCG(1, 2))
	filter := func() string {
		levels := make([]string, 1+random.IntN(3))
		for i := range levels {
			levels[i] = []string{"a", "b", "+"}[random.IntN(3)]
		}
		if random.IntN(3) == 0 {
			levels[len(levels)-1] = "#"
		}
		return strings.Join(levels, "/")
	}
	for range 3000 {
		a, b := filter(), filter()
		covers, overlaps := true, false
		for _, name := range names {
			inA, inB := matchByDefinition(a, name), matchByDefinition(b, name)
			covers = covers && (inA || !inB)
			overlaps = overlaps || inA && inB
		}
		if got := Covers(a, b); got != covers {
			t.Fatalf("Covers(%q, %q) = %v", a, b, got)
		}
		if got := Overlaps(a, b); got != overlaps {
			t.Fatalf("Overlaps(%q, %q) = %v", a, b, got)
		}
	}
}

// matchByDefinition is the standard's text in its plainest form, level by level.
func matchByDefinition(filter, name string) bool {
	f, n := strings.Split(filter, "/"), strings.Split(name, "/")
	for i, level := range f {
		if level == "#" {
			return i <= len(n)
		}
		if i >= len(n) || level != "+" && level != n[i] {
			return false
		}
	}
	return len(f) == len(n)
}

func FuzzFilters(f *testing.F) {
	f.Add("a/+/#", "a/b")
	f.Add("#", "+/+")
	f.Fuzz(func(t *testing.T, a, b string) {
		if !ValidFilter(a) || !ValidFilter(b) {
			return
		}
		if !Covers(a, a) || !Overlaps(a, a) {
			t.Fatalf("%q does not cover and overlap itself", a)
		}
		if Covers(a, b) && !Overlaps(a, b) {
			t.Fatalf("%q covers %q and does not overlap it", a, b)
		}
		if Overlaps(a, b) != Overlaps(b, a) {
			t.Fatalf("Overlaps(%q, %q) is not symmetric", a, b)
		}
	})
}
