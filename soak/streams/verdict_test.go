package streams

import (
	"strings"
	"testing"
)

func TestVerdictFindsEachFault(t *testing.T) {
	at := func(key string, epoch uint32, seq uint64, payload string) Arrival {
		return Arrival{key, epoch, seq, payload}
	}
	for name, c := range map[string]struct {
		places [][]Arrival
		stored []string
		again  int
		want   string
	}{
		"well":           {[][]Arrival{{at("a", 1, 0, "0"), at("a", 1, 2, "2")}, {at("b", 1, 1, "1")}}, []string{"0", "1", "2"}, 0, ""},
		"again":          {[][]Arrival{{at("a", 1, 0, "0"), at("a", 1, 1, "1"), at("a", 1, 0, "0"), at("a", 1, 1, "1")}}, nil, 2, ""},
		"another epoch":  {[][]Arrival{{at("a", 1, 0, "0"), at("a", 1, 1, "1"), at("a", 2, 1, "x")}}, nil, 0, ""},
		"left out":       {[][]Arrival{{at("a", 1, 0, "0"), at("a", 1, 3, "3")}}, nil, 0, "sequences 1 to 2 are left out"},
		"left out first": {[][]Arrival{{at("a", 1, 1, "1")}}, nil, 0, "sequences 0 to 0 are left out"},
		"stored":         {[][]Arrival{{at("a", 1, 0, "0")}}, []string{"1"}, 0, "1 was stored and has not arrived"},
		"order":          {[][]Arrival{{at("a", 1, 1, "1"), at("a", 1, 0, "0")}}, nil, 0, `key "a": 1-0 arrived after 1-1`},
		"two places":     {[][]Arrival{{at("a", 1, 0, "0")}, {at("a", 1, 1, "1")}}, nil, 0, `key "a" is in places 0 and 1`},
		"two messages":   {[][]Arrival{{at("a", 1, 0, "0"), at("a", 1, 0, "x")}}, nil, 1, `number 1-0 is of "0" and of "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			count, faults := Verdict(c.places, c.stored)
			if got := strings.Join(faults, "; "); got != c.want || count.Again != c.again {
				t.Errorf("got %q, %+v; want %q, %d again", got, count, c.want, c.again)
			}
		})
	}
}
