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

// Close to 2^53 raw values are as fine as float64s: one more or less on the way
// to physical and back would be another number.
func TestEncodeOfLargeNumbersDecodesToTheSame(t *testing.T) {
	for _, c := range []struct {
		signal string
		raw    int64
	}{
		{`0|53@1- (3,1000)`, -3382328139916897},
		{`0|52@1+ (0.01,1000000000)`, 4122283151025569},
		{`0|53@1+ (1E-7,-40)`, 2916561335255609},
		{`0|53@1+ (3,0)`, 3184038832220893},
	} {
		db, _ := parseText(t, "BO_ 1 M: 8 X\n SG_ S : "+c.signal+` [0|1] "" X`+"\n")
		s := db.Messages[0].Signals[0]
		fr := frame(t, 1, false, "0000000000000000")
		s.EncodeRaw(fr.Bytes(), c.raw)
		before, _ := s.Message.Decode(fr, nil)
		s.Encode(fr.Bytes(), before[0].Physical)
		after, _ := s.Message.Decode(fr, nil)
		if after[0].Physical != before[0].Physical {
			t.Errorf("%s: %v, packed, came back as %v", c.signal, before[0].Physical, after[0].Physical)
		}
	}
}
