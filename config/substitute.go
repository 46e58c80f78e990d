package config

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	reference = regexp.MustCompile(`\$\{[^}]*\}?`)
	envName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// substitute fills in ${env:NAME} and leaves the allowed run-time names in
// place. What a variable holds is not looked at again.
func (s *secrets) substitute(text string, allowed []string) (string, error) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	var failed error
	fail := func(format string, args ...any) {
		if failed == nil {
			failed = fmt.Errorf(format, args...)
		}
	}
	filled := reference.ReplaceAllStringFunc(text, func(ref string) string {
		name, closed := strings.CutSuffix(ref[2:], "}")
		variable, isEnv := strings.CutPrefix(name, "env:")
		switch {
		case !closed:
			fail("%s: want a } after the name", ref)
		case isEnv && !envName.MatchString(variable):
			fail("%s: want the name of an environment variable, such as ${env:TOKEN}", ref)
		case isEnv:
			value, ok := os.LookupEnv(variable)
			if !ok {
				fail("%s: the environment variable %s is not set", ref, variable)
			}
			s.add(ref, value)
			return value
		case !isAllowed(name, allowed):
			fail("%s: want %s", ref, allowedNames(allowed))
		}
		return ref
	})
	return filled, failed
}

// isAllowed reports whether a name is one of those allowed, or one of them that
// ends in a colon and something behind it.
func isAllowed(name string, allowed []string) bool {
	head, rest, found := strings.Cut(name, ":")
	return slices.Contains(allowed, name) && !strings.HasSuffix(name, ":") ||
		found && rest != "" && slices.Contains(allowed, head+":")
}

func allowedNames(allowed []string) string {
	text := "${env:NAME}"
	for _, name := range allowed {
		if strings.HasSuffix(name, ":") {
			name += "…"
		}
		text += " or ${" + name + "}"
	}
	return text
}

// secrets are the values that came out of the environment, longest first.
type secrets []secret

type secret struct{ reference, value string }

func (s *secrets) add(reference, value string) {
	if value == "" || slices.Contains(*s, secret{reference, value}) {
		return
	}
	*s = append(*s, secret{reference, value})
	slices.SortStableFunc(*s, func(a, b secret) int { return cmp.Compare(len(b.value), len(a.value)) })
}

// shortest is the length from which a value is looked for anywhere in a
// message. A shorter one is hidden only where it stands in quotes: replacing
// every 1 would make messages unreadable and protect nothing.
const shortest = 4

// hide puts ${env:NAME} back where a message shows the value.
func (s secrets) hide(message string) string {
	if len(s) == 0 {
		return message
	}
	var replace []string
	for _, secret := range s {
		// A reference that stands there already is left alone, also when the
		// value is a part of it.
		replace = append(replace, secret.reference, secret.reference)
	}
	for _, secret := range s {
		quoted := strconv.Quote(secret.value)
		replace = append(replace, quoted, `"`+secret.reference+`"`)
		if len(secret.value) >= shortest {
			replace = append(replace, secret.value, secret.reference)
			replace = append(replace, quoted[1:len(quoted)-1], secret.reference)
		}
	}
	return strings.NewReplacer(replace...).Replace(message)
}
