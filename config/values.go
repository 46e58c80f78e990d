package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"
)

// Duration is a length of time in the file: 100ms, 5s, 1m30s, 24h (the units
// of [time.ParseDuration]) or a bare 0. It is never negative unless the field
// has a min tag below zero. Convert it with time.Duration(d).
type Duration time.Duration

// String is the duration as time.Duration writes it.
func (d Duration) String() string { return time.Duration(d).String() }

// ParseDuration reads a duration as it stands in a file.
func ParseDuration(text string) (Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("want a duration such as 100ms, got %q", text)
	}
	return Duration(d), nil
}

// Size is a number of bytes in the file: 64MiB, 256KiB, 10MB or a bare 1000.
type Size int64

// sizeUnits in the order in which String tries them: binary before decimal
// where both fit, the largest first.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3},
}

var sizeText = regexp.MustCompile(`^([0-9]+)(TiB|GiB|MiB|KiB|TB|GB|MB|kB|B)?$`)

// String is the size in the largest unit that gives a whole number: 64MiB.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// ParseSize reads a size as it stands in a file. Units are exact: KiB, MiB,
// GiB and TiB count in 1,024, kB, MB, GB and TB in 1,000.
func ParseSize(text string) (Size, error) {
	parts := sizeText.FindStringSubmatch(text)
	if parts == nil {
		return 0, fmt.Errorf("want a size such as 64MiB or 1000, got %q", text)
	}
	unit := int64(1)
	for _, u := range sizeUnits {
		if u.name == parts[2] {
			unit = u.bytes
		}
	}
	number, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || number > math.MaxInt64/unit {
		return 0, fmt.Errorf("want a size below 8388608TiB, got %q", text)
	}
	return Size(number * unit), nil
}
