package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// result is how one test of a suite ended.
type result struct {
	Test   string `json:"test"`
	Passed bool   `json:"passed"`
	Error  string `json:"error"`
}

// stricter are the tests that ask for more than the standard does, and what in
// the standard allows ours.
var stricter = map[string]map[string]string{
	"client_test5": {
		"test_subscribe_failure": "§3.9.3: 0x87 (not authorised) says why; the test takes only 0x80 (unspecified)",
	},
}

func readResults(file string) (results []result, err error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("result %q: %w", lines.Text(), err)
		}
		results = append(results, r)
	}
	return results, lines.Err()
}

// report prints one suite. ok is false if a test failed that is not excused by a
// clause of the standard, or if there was none.
func report(w io.Writer, suite string, results []result, excused map[string]string) (ok bool) {
	ok = len(results) > 0
	passed := 0
	for _, r := range results {
		verdict, why := "pass", ""
		clause := excused[r.Test]
		switch {
		case r.Passed:
			passed++
		case clause != "":
			verdict, why = "allowed", clause
		default:
			ok = false
			verdict, why = "FAIL", r.Error
		}
		_, _ = fmt.Fprintf(w, "%-13s %-30s %-8s %s\n", suite, r.Test, verdict, why)
	}
	_, _ = fmt.Fprintf(w, "%-13s %d of %d pass\n\n", suite, passed, len(results))
	return ok
}
