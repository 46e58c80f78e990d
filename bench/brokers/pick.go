package brokers

import (
	"fmt"
	"slices"
	"strings"
)

// Pick gives those of all, the loads or disturbances of a comparison, that names
// has with commas between; "" has all. The error of a name that there is not
// begins with flag and tells those that there are.
func Pick[T fmt.Stringer](flag, names string, all []T) ([]T, error) {
	if names == "" {
		return all, nil
	}
	var picked []T
	for wanted := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(one T) bool { return one.String() == wanted })
		if i < 0 {
			known := make([]string, len(all))
			for i, one := range all {
				known[i] = one.String()
			}
			return nil, fmt.Errorf("%s %s: want some of %s", flag, wanted, strings.Join(known, ","))
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}
