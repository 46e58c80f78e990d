package mapping

import (
	"math"
	"testing"

	"github.com/fascia-edge/fascia/vehicle"
)

func TestFitHoldsAValueToItsType(t *testing.T) {
	invalid := vehicle.Invalid()
	for _, c := range []struct {
		as       Type
		in, want vehicle.Value
	}{
		{Int8, vehicle.Float(12.5), vehicle.Int(13)},
		{Int8, vehicle.Float(-12.5), vehicle.Int(-13)},
		{Int8, vehicle.Float(127.4), vehicle.Int(127)},
		{Int8, vehicle.Float(127.5), invalid},
		{Int8, vehicle.Int(-128), vehicle.Int(-128)},
		{Int8, vehicle.Int(-129), invalid},
		{Uint8, vehicle.Int(255), vehicle.Int(255)},
		{Uint8, vehicle.Int(256), invalid},
		{Int16, vehicle.Int(32768), invalid},
		{Uint16, vehicle.Int(65536), invalid},
		{Int32, vehicle.Int(1 << 31), invalid},
		{Uint32, vehicle.Int(1 << 32), invalid},
		{Int64, vehicle.Uint(1 << 63), invalid},
		{Int64, vehicle.Float(1 << 63), invalid},
		{Uint64, vehicle.Uint(math.MaxUint64), vehicle.Uint(math.MaxUint64)},
		{Uint64, vehicle.Float(1 << 63), vehicle.Uint(1 << 63)},
		{Uint64, vehicle.Float(1 << 64), invalid},
		{Uint64, vehicle.Int(-1), invalid},
		{Int8, vehicle.Bool(true), invalid},
		{Float, vehicle.Int(5), vehicle.Float(5)},
		{Float, vehicle.Float(0.1), vehicle.Float(0.1)},
		{Float, vehicle.Float(1e39), invalid},
		{Double, vehicle.Float(1e39), vehicle.Float(1e39)},
		{Float, vehicle.String("5"), invalid},
		{Boolean, vehicle.Int(0), vehicle.Bool(false)},
		{Boolean, vehicle.Float(1), vehicle.Bool(true)},
		{Boolean, vehicle.Bool(true), vehicle.Bool(true)},
		{Boolean, vehicle.Int(2), invalid},
		{Boolean, vehicle.String("true"), invalid},
		{String, vehicle.String("P"), vehicle.String("P")},
		{String, vehicle.Int(5), invalid},
		{Any, vehicle.Float(0.5), vehicle.Float(0.5)},
		{Any, invalid, invalid},
		{Float, vehicle.Value{}, vehicle.Value{}},
	} {
		if got := c.as.Fit(c.in); got != c.want {
			t.Errorf("%s %v as %q: %s %v, want %s %v", c.in.Kind(), c.in, c.as, got.Kind(), got, c.want.Kind(), c.want)
		}
	}
}
