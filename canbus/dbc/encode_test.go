package dbc

import (
	"math"
	"testing"
)

func TestEncodeRoundsAndStaysWithinTheBits(t *testing.T) {
	for _, c := range []struct {
		signal   string
		physical float64
		want     int64 // raw
	}{
		{`0|8@1+ (0.5,-40)`, -40, 0},
		{`0|8@1+ (0.5,-40)`, 20.3, 121},
		{`0|8@1+ (1,0)`, 255.4, 255},
		{`0|8@1+ (1,0)`, 256, 255},
		{`0|8@1+ (1,0)`, -1, 0},
		{`0|8@1- (1,0)`, 128, 127},
		{`0|8@1- (1,0)`, -129, -128},
		{`0|8@1- (1,0)`, -1, -1},
		{`0|8@1- (1,0)`, math.NaN(), 0},
		{`0|8@1+ (0,5)`, 7, 2}, // a factor of 0 has no inverse: the number itself
		{`0|64@1- (1,0)`, 1e300, math.MaxInt64},
		{`0|64@1- (1,0)`, math.Inf(-1), math.MinInt64},
		{`0|64@1+ (1,0)`, math.Inf(1), -1}, // all bits
		{`7|16@0- (1,0)`, -2, -2},
	} {
		db, _ := parseText(t, "BO_ 1 M: 8 X\n SG_ S : "+c.signal+` [0|1] "" X`+"\n")
		s := db.Messages[0].Signals[0]
		fr := frame(t, 1, false, "0000000000000000")
		s.Encode(fr.Bytes(), c.physical)
		values, err := s.Message.Decode(fr, nil)
		if err != nil || values[0].Raw != c.want {
			t.Errorf("%s of %v: %v, %v: want %d", c.signal, c.physical, values, err, c.want)
		}
	}
}
