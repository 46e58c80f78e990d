package javatime

import (
	"strconv"
	"time"
)

// field writes a letter that stands n times; nil if that has no meaning.
func field(letter byte, n int) func(dst []byte, t time.Time) []byte {
	switch letter {
	case 'y', 'u':
		return year(n, time.Time.Year)
	case 'Y':
		return year(n, func(t time.Time) int { y, _ := week(t); return y })
	case 'M', 'L':
		if n > 2 {
			return text(n, func(t time.Time) string { return t.Month().String() })
		}
		return number(n, 2, func(t time.Time) int { return int(t.Month()) })
	case 'Q', 'q':
		quarter := func(t time.Time) int { return (int(t.Month())-1)/3 + 1 }
		switch n {
		case 3:
			return func(dst []byte, t time.Time) []byte {
				return strconv.AppendInt(append(dst, 'Q'), int64(quarter(t)), 10)
			}
		case 4:
			names := [...]string{"1st quarter", "2nd quarter", "3rd quarter", "4th quarter"}
			return func(dst []byte, t time.Time) []byte { return append(dst, names[quarter(t)-1]...) }
		}
		return number(n, 2, quarter)
	case 'd':
		return number(n, 2, time.Time.Day)
	case 'D':
		return number(n, 3, time.Time.YearDay)
	case 'w':
		return number(n, 2, func(t time.Time) int { _, w := week(t); return w })
	case 'W':
		return number(n, 1, func(t time.Time) int { return (t.Day()-1+weekdayOfFirst(t))/7 + 1 })
	case 'E':
		return text(max(n, 3), func(t time.Time) string { return t.Weekday().String() })
	case 'e', 'c':
		if n > 2 {
			return text(n, func(t time.Time) string { return t.Weekday().String() })
		}
		return number(n, 2, func(t time.Time) int { return int(t.Weekday()) + 1 })
	case 'a':
		return only(n == 1, func(dst []byte, t time.Time) []byte {
			if t.Hour() < 12 {
				return append(dst, "AM"...)
			}
			return append(dst, "PM"...)
		})
	case 'H':
		return number(n, 2, time.Time.Hour)
	case 'k':
		return number(n, 2, func(t time.Time) int { return (t.Hour()+23)%24 + 1 })
	case 'K':
		return number(n, 2, func(t time.Time) int { return t.Hour() % 12 })
	case 'h':
		return number(n, 2, func(t time.Time) int { return (t.Hour()+11)%12 + 1 })
	case 'm':
		return number(n, 2, time.Time.Minute)
	case 's':
		return number(n, 2, time.Time.Second)
	case 'S':
		return only(n <= 9, func(dst []byte, t time.Time) []byte {
			return append(dst, padded(t.Nanosecond(), 9)[:n]...)
		})
	case 'A':
		return number(n, 19, func(t time.Time) int { return int(sinceMidnight(t).Milliseconds()) })
	case 'n':
		return number(n, 19, time.Time.Nanosecond)
	case 'N':
		return number(n, 19, func(t time.Time) int { return int(sinceMidnight(t)) })
	case 'G':
		return text(n, func(time.Time) string { return "Anno Domini" })
	}
	if zone, ok := zones[letter][n]; ok {
		return func(dst []byte, _ time.Time) []byte { return append(dst, zone...) }
	}
	return nil
}

// zones are the names of UTC, by letter and how often it stands.
var zones = map[byte]map[int]string{
	'V': {2: "Z"},
	'z': {1: "Z", 2: "Z", 3: "Z", 4: "Z"},
	'O': {1: "GMT", 4: "GMT"},
	'X': {1: "Z", 2: "Z", 3: "Z", 4: "Z", 5: "Z"},
	'x': {1: "+00", 2: "+0000", 3: "+00:00", 4: "+0000", 5: "+00:00"},
	'Z': {1: "+0000", 2: "+0000", 3: "+0000", 4: "GMT", 5: "Z"},
}

// only is what it is given, or nil.
func only(ok bool, write func([]byte, time.Time) []byte) func([]byte, time.Time) []byte {
	if !ok {
		return nil
	}
	return write
}

// number writes a number in at least n digits; nil for more than most.
func number(n, most int, of func(time.Time) int) func([]byte, time.Time) []byte {
	return only(n <= most, func(dst []byte, t time.Time) []byte { return append(dst, padded(of(t), n)...) })
}

// year writes two digits for two letters, and at least as many as there are otherwise,
// with a sign before more than that (SignStyle.EXCEEDS_PAD).
func year(n int, of func(time.Time) int) func([]byte, time.Time) []byte {
	return only(n <= 19, func(dst []byte, t time.Time) []byte {
		y := of(t)
		if n == 2 {
			return append(dst, padded(y%100, 2)...)
		}
		digits := padded(y, n)
		if n >= 4 && len(digits) > n {
			dst = append(dst, '+')
		}
		return append(dst, digits...)
	})
}

// text writes a name: short for up to three letters, whole for four, one letter for
// five.
func text(n int, of func(time.Time) string) func([]byte, time.Time) []byte {
	return only(n <= 5, func(dst []byte, t time.Time) []byte {
		name := of(t)
		switch {
		case name == "Anno Domini" && n <= 3:
			name = "AD"
		case n <= 3:
			name = name[:3]
		case n == 5:
			name = name[:1]
		}
		return append(dst, name...)
	})
}

func padded(value, digits int) string {
	s := strconv.Itoa(value)
	for len(s) < digits {
		s = "0" + s
	}
	return s
}

func sinceMidnight(t time.Time) time.Duration {
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute +
		time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
}

// week is the week of a time, and the year that this week belongs to.
func week(t time.Time) (year, number int) {
	saturday := t.AddDate(0, 0, int(time.Saturday-t.Weekday())) // the last day decides
	return saturday.Year(), (saturday.YearDay()-1)/7 + 1
}

// weekdayOfFirst is the weekday of the first of a time's month, from Sunday on.
func weekdayOfFirst(t time.Time) int {
	return int(t.AddDate(0, 0, 1-t.Day()).Weekday())
}
