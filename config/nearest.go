package config

import "strings"

// Nearest finds the known name that a mistyped one most likely meant, by the
// number of letters to change, drop, add or swap, without regard to case. It
// reports false when nothing is near: more than a third of the letters differ.
// Of equally near names the first wins.
func Nearest(name string, known []string) (string, bool) {
	typed := []rune(strings.ToLower(name))
	limit := max(1, len(typed)/3)
	best, found := "", false
	for _, candidate := range known {
		runes := []rune(strings.ToLower(candidate))
		if len(runes)-len(typed) > limit || len(typed)-len(runes) > limit {
			continue
		}
		distance := edits(typed, runes)
		if distance > limit || distance >= len(typed) {
			continue
		}
		best, found = candidate, true
		if distance == 0 {
			break
		}
		limit = distance - 1
	}
	return best, found
}

// edits is the optimal string alignment distance: Levenshtein's, with the swap
// of two neighbours counted once.
func edits(a, b []rune) int {
	before, previous, current := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			substitute := previous[j-1]
			if a[i-1] != b[j-1] {
				substitute++
			}
			current[j] = min(substitute, previous[j]+1, current[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(b)]
}
