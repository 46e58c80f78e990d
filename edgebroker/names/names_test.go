package names

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/topic"
)

// pieces are levels whose bytes are around that of the slash, where the order of
// names is not that of their levels.
var pieces = []string{"a", "a-", "a0", "b", "", "$", "a!", "é"}

func anyName(random *rand.Rand) string {
	for {
		levels := make([]string, 1+random.IntN(4))
		for i := range levels {
			levels[i] = pieces[random.IntN(len(pieces))]
		}
		if name := strings.Join(levels, "/"); name != "" {
			return name
		}
	}
}

func anyFilter(random *rand.Rand) string {
	levels := strings.Split(anyName(random), "/")
	for i := range levels {
		if random.IntN(3) == 0 {
			levels[i] = "+"
		}
	}
	if random.IntN(3) == 0 {
		levels = append(levels, "#")
	}
	return strings.Join(levels, "/")
}

// search is all steps of a search, with between after each.
func search(m *Map[string], filter string, looks int, between func()) (found []string) {
	for next, more := "", true; more; between() {
		found, next, more = m.Match(filter, next, looks, found)
	}
	return found
}

func TestSearchFindsWhatTheFilterMatches(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var m Map[string]
		var names []string
		for range random.IntN(600) {
			if name := anyName(random); !slices.Contains(names, name) {
				names = append(names, name)
				m.Put(name, name)
			}
		}
		slices.Sort(names)
		for range 20 {
			filter := anyFilter(random)
			var want []string
			for _, name := range names {
				if topic.Match(filter, name) {
					want = append(want, name)
				}
			}
			if got := search(&m, filter, 1+random.IntN(10), func() {}); !slices.Equal(got, want) {
				t.Fatalf("%q among %q:\ngot  %q\nwant %q", filter, names, got, want)
			}
		}
	}
}

func TestSearchFindsOnceWhatStaysWhileOthersComeAndGo(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var m Map[string]
	for i := range 3000 {
		name := fmt.Sprintf("stays/%d", i)
		m.Put(name, name)
	}
	found := search(&m, "+/+", 7, func() {
		name := fmt.Sprintf("%s/%d", []string{"goes", "stays-", "stays", "tails"}[random.IntN(4)], 10_000+random.IntN(2000))
		if random.IntN(2) == 0 {
			m.Put(name, "other")
		} else {
			m.Delete(name)
		}
	})
	found = slices.DeleteFunc(found, func(name string) bool { return name == "other" })
	slices.Sort(found)
	if n := len(found); n != 3000 || len(slices.Compact(found)) != 3000 {
		t.Fatalf("%d found, %d of them different, want 3000", n, len(slices.Compact(found)))
	}
}

func TestAfterGoesThroughAllNames(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	var m Map[string]
	for range 2000 {
		name := fmt.Sprint(anyName(random), random.IntN(500))
		m.Put(name, name)
	}
	var found []string
	for next, more := "", true; more; {
		before := len(found)
		if found, next, more = m.After(next, 10, found); len(found) > before+10 {
			t.Fatalf("%d at once, want at most 10", len(found)-before)
		}
	}
	if len(found) != m.Len() || !slices.IsSorted(found) {
		t.Fatalf("%d found, want %d in order", len(found), m.Len())
	}
}

func TestSearchLeavesOutWhatCanNotMatch(t *testing.T) {
	var m Map[string]
	for i := range 100 {
		for j := range 1000 {
			m.Put(fmt.Sprintf("bulk/%d/%d/state", i, j), "")
		}
	}
	for filter, most := range map[string]int{"bulk/7/+/state": 1100, "bulk/+/7/state": 500, "other/#": 10, "zoo/+": 10, "+": 10, "#": 100_010} {
		looks := 0
		search(&m, filter, 1, func() { looks++ })
		if looks > most {
			t.Errorf("%s: %d looks, want at most %d", filter, looks, most)
		}
	}
}

func TestMapKeepsWhatWasPutLast(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	var m Map[int]
	model := make(map[string]int)
	for i := range 50_000 {
		name := fmt.Sprint(random.IntN(3000))
		if i > 40_000 || random.IntN(5) == 0 { // in the end all are gone
			m.Delete(name)
			delete(model, name)
		} else {
			m.Put(name, i)
			model[name] = i
		}
		if i%1000 == 0 {
			for j := range 3000 {
				if name := fmt.Sprint(j); m.Get(name) != model[name] {
					t.Fatalf("%s: %d, want %d", name, m.Get(name), model[name])
				}
			}
		}
		if m.Len() != len(model) {
			t.Fatalf("%d names, want %d", m.Len(), len(model))
		}
	}
	for name := range maps.Keys(model) {
		m.Delete(name)
	}
	if m.Len() != 0 || len(m.leaves) != 0 {
		t.Fatalf("%d names in %d leaves are left", m.Len(), len(m.leaves))
	}
}

func TestFewNamesLeftTakeFewLeaves(t *testing.T) {
	var m Map[int]
	for i := range 100_000 {
		m.Put(fmt.Sprintf("%06d", i), i)
	}
	for i := range 100_000 {
		if i%100 != 0 {
			m.Delete(fmt.Sprintf("%06d", i))
		}
	}
	if most := 4 * m.Len() / leafSize * 2; len(m.leaves) > most {
		t.Errorf("%d leaves for %d names, want at most %d", len(m.leaves), m.Len(), most)
	}
}

// A million names: what a search costs that finds a thousand of them, and one
// that finds none but can leave out nothing.
func BenchmarkMatch(b *testing.B) {
	var m Map[int]
	for i := range 1_000_000 {
		m.Put(fmt.Sprintf("bulk/%d/%d/state", i/1000, i%1000), i)
	}
	for _, filter := range []string{"bulk/+/7/state", "+/+/+/nothing", "#"} {
		b.Run(filter, func(b *testing.B) {
			var list []int
			for b.Loop() {
				for next, more := "", true; more; {
					list, next, more = m.Match(filter, next, 256, list[:0])
				}
			}
		})
	}
}
