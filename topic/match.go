package topic

import "strings"

// Match reports whether a subscription to filter gets messages on name. A
// wildcard in the first level does not match names that begin with `$`
// [MQTT-4.7.2-1].
func Match(filter, name string) bool {
	if name != "" && name[0] == '$' && filter != "" && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	return Within(filter, name)
}

// Within is Match without the exception for `$`: how grants and rules read
// their filters. `a/#` holds for `a` too [MQTT-4.7.1-2].
func Within(filter, name string) bool { return Covers(filter, name) }

// Covers reports whether every name that other can match is within allow, by
// the reading of Within for both. Other may be a name, too.
func Covers(allow, other string) bool {
	if allow == "+/#" { // a name has a first level, so this is everything
		return true
	}
	for {
		a, allowRest, allowMore := strings.Cut(allow, "/")
		if a == "#" {
			return true
		}
		o, otherRest, otherMore := strings.Cut(other, "/")
		switch {
		case o == "#": // matches names of any length, allow doesn't
			return false
		case a != "+" && a != o:
			return false
		case !allowMore && !otherMore:
			return true
		case !otherMore:
			return allowRest == "#"
		case !allowMore:
			return false
		}
		allow, other = allowRest, otherRest
	}
}

// Overlaps reports whether some name is within both filters.
func Overlaps(a, b string) bool {
	for {
		la, restA, moreA := strings.Cut(a, "/")
		lb, restB, moreB := strings.Cut(b, "/")
		switch {
		case la == "#" || lb == "#":
			return true
		case la != "+" && lb != "+" && la != lb:
			return false
		case !moreA && !moreB:
			return true
		case !moreA:
			return restB == "#"
		case !moreB:
			return restA == "#"
		}
		a, b = restA, restB
	}
}
