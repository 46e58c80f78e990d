package vehicle

import (
	"encoding/json"
	"math"
	"testing"
)

func TestValuesPrintAsJSONExactly(t *testing.T) {
	for _, c := range []struct {
		v    Value
		want string
	}{
		{Value{}, "null"},
		{Invalid(), "null"},
		{Bool(true), "true"},
		{Bool(false), "false"},
		{Int(math.MinInt64), "-9223372036854775808"},
		{Int(9007199254740993), "9007199254740993"}, // 2^53+1: no float64
		{Uint(math.MaxUint64), "18446744073709551615"},
		{Float(0.1), "0.1"},
		{Float(31.25), "31.25"},
		{Float(100), "100"},
		{Float(1e20), "100000000000000000000"},
		{Float(1e21), "1e+21"},
		{Float(1.5e-7), "1.5e-07"},
		{Float(math.Copysign(0, -1)), "0"},
		{Float(math.NaN()), "null"},
		{Float(math.Inf(-1)), "null"},
		{String("ON"), `"ON"`},
		{String("a \"b\"\\\n°"), `"a \"b\"\\\n°"`},
		{String(`a\b`), `"a\\b"`},
		{String("\xff"), `"\ufffd"`},
	} {
		got := string(c.v.AppendJSON(nil))
		if got != c.want || c.v.String() != c.want {
			t.Errorf("%s %s, want %s", c.v.Kind(), got, c.want)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%s is no JSON", got)
		}
	}
}

func TestValuesAreEqualWhenTheyAreTheSame(t *testing.T) {
	for _, c := range []struct {
		a, b Value
		want bool
	}{
		{Int(5), Uint(5), true},
		{Int(-1), Uint(math.MaxUint64), false},
		{Int(5), Float(5), false},
		{Float(0), Float(math.Copysign(0, -1)), true},
		{Float(math.NaN()), Invalid(), true},
		{Invalid(), Value{}, false},
		{Int(1), Bool(true), false},
		{String("1"), Int(1), false},
		{String("a"), String("a"), true},
	} {
		if c.a.Equal(c.b) != c.want || (c.a == c.b) != c.want {
			t.Errorf("%s %v and %s %v: want equal %v", c.a.Kind(), c.a, c.b.Kind(), c.b, c.want)
		}
	}
}

func TestValueTellsWhatItHolds(t *testing.T) {
	if (Value{}).IsSet() || !Invalid().IsSet() || Invalid().IsValid() || !Bool(false).IsValid() {
		t.Error("set and valid are mixed up")
	}
	if i, ok := Uint(7).Int(); i != 7 || !ok {
		t.Error(i, ok)
	}
	if _, ok := Uint(math.MaxUint64).Int(); ok {
		t.Error("2^64-1 fits no int64")
	}
	if u, ok := Uint(math.MaxUint64).Uint(); u != math.MaxUint64 || !ok {
		t.Error(u, ok)
	}
	if _, ok := Int(-1).Uint(); ok {
		t.Error("-1 is no unsigned integer")
	}
	if _, ok := Float(5).Int(); ok {
		t.Error("a float is no integer")
	}
	for _, c := range []struct {
		v    Value
		want float64
		ok   bool
	}{
		{Int(-3), -3, true},
		{Uint(math.MaxUint64), 1 << 64, true},
		{Float(1.5), 1.5, true},
		{Bool(true), 0, false},
		{String("3"), 0, false},
		{Invalid(), 0, false},
	} {
		if got, ok := c.v.Number(); got != c.want || ok != c.ok {
			t.Errorf("%s %v: %v, %v", c.v.Kind(), c.v, got, ok)
		}
	}
	for v, want := range map[Value]any{Bool(true): true, Int(-3): int64(-3), Uint(math.MaxUint64): uint64(math.MaxUint64),
		Float(1.5): 1.5, String("P"): "P", Invalid(): nil, {}: nil} {
		if got := v.Any(); got != want {
			t.Errorf("%s %v: %v", v.Kind(), v, got)
		}
	}
}
