package javatime

import (
	"testing"
	"time"
)

func TestFieldsAreThoseOfJava(t *testing.T) {
	at := time.Date(2020, 12, 31, 0, 5, 9, 123456789, time.UTC) // a Thursday
	for pattern, want := range map[string]string{
		"yyyy/MM/dd":          "2020/12/31",
		"YYYY/MM/dd":          "2021/12/31", // the week of the new year
		"uuuu-DDD":            "2020-366",
		"yy":                  "20",
		"y":                   "2020",
		"yyyyy":               "02020",
		"HH:mm:ss.SSS":        "00:05:09.123",
		"SSSSSSSSS n N":       "123456789 123456789 309123456789",
		"A":                   "309123",
		"h a K k":             "12 AM 0 24",
		"MMM MMMM MMMMM L LL": "Dec December D 12 12",
		"E EE EEE EEEE EEEEE": "Thu Thu Thu Thursday T",
		"e ee eee c":          "5 05 Thu 5",
		"w W":                 "1 5",
		"Q QQ QQQ QQQQ":       "4 04 Q4 4th quarter",
		"G GGGG":              "AD Anno Domini",
		"X XXX x xx xxx Z":    "Z Z +00 +0000 +00:00 +0000",
		"ZZZZ ZZZZZ O VV z":   "GMT Z GMT Z Z",
		"yyyy'T'HH'o''clock'": "2020T00o'clock",
		"''yy''":              "'20'",
		"dé/":                 "31é/",
		"":                    "",
	} {
		f, err := Compile(pattern)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		if got := string(f.Append(nil, at)); got != want {
			t.Errorf("%s: %s, want %s", pattern, got, want)
		}
	}
}

func TestATimeIsWrittenInUTC(t *testing.T) {
	f, err := Compile("yyyy-MM-dd HH")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 1, 0, 30, 0, 0, time.FixedZone("east", 3600))
	if got := string(f.Append(nil, at)); got != "2025-12-31 23" {
		t.Error(got)
	}
}

func TestPatternsThatMeanNothingAreRefused(t *testing.T) {
	for _, pattern := range []string{"j", "MMMMMM", "ddd", "'open", "[yyyy]", "yyyy}", "#", "ppH", "SSSSSSSSSS", "aa", "V", "F", "YYYYYYYYYYYYYYYYYYYY"} {
		if _, err := Compile(pattern); err == nil {
			t.Errorf("%s is taken", pattern)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, pattern := range []string{"yyyy/MM/dd", "'T''x'", "''", "YYYY ww SSS A N", "é'", "[a]"} {
		f.Add(pattern)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		if format, err := Compile(pattern); err == nil {
			format.Append(nil, time.Unix(1<<40, 5))
		}
	})
}
