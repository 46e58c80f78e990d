package mapping

import (
	"math"

	"github.com/fascia-edge/fascia/vehicle"
)

// Type is a data type of VSS; "" takes values as they come.
type Type string

// The data types of VSS that a signal can have; arrays are not among them.
const (
	Any     Type = ""
	Boolean Type = "boolean"
	Int8    Type = "int8"
	Uint8   Type = "uint8"
	Int16   Type = "int16"
	Uint16  Type = "uint16"
	Int32   Type = "int32"
	Uint32  Type = "uint32"
	Int64   Type = "int64"
	Uint64  Type = "uint64"
	Float   Type = "float"
	Double  Type = "double"
	String  Type = "string"
)

// known reports whether t is one of the types above, Any not among them.
func (t Type) known() bool {
	switch t {
	case Boolean, Int8, Uint8, Int16, Uint16, Int32, Uint32, Int64, Uint64, Float, Double, String:
		return true
	}
	return false
}

// Fit is v as a value of the type, or invalid if the type can't hold it: an
// integer is rounded to the nearest and must be in range, a boolean comes from 0
// and 1 alone, a string from a string alone. A float keeps all digits of its
// float64; only the range is that of 32 bits.
func (t Type) Fit(v vehicle.Value) vehicle.Value {
	if !v.IsValid() {
		return v
	}
	switch t {
	case Any:
		return v
	case Boolean:
		return asBoolean(v)
	case Int8:
		return asInt(v, math.MinInt8, math.MaxInt8)
	case Int16:
		return asInt(v, math.MinInt16, math.MaxInt16)
	case Int32:
		return asInt(v, math.MinInt32, math.MaxInt32)
	case Int64:
		return asInt(v, math.MinInt64, math.MaxInt64)
	case Uint8:
		return asInt(v, 0, math.MaxUint8)
	case Uint16:
		return asInt(v, 0, math.MaxUint16)
	case Uint32:
		return asInt(v, 0, math.MaxUint32)
	case Uint64:
		return asUint64(v)
	case Float:
		return asFloat(v, math.MaxFloat32)
	case Double:
		return asFloat(v, math.MaxFloat64)
	case String:
		if v.Kind() == vehicle.KindString {
			return v
		}
	}
	return vehicle.Invalid()
}

func asBoolean(v vehicle.Value) vehicle.Value {
	if v.Kind() == vehicle.KindBool {
		return v
	}
	switch number, ok := v.Number(); {
	case ok && number == 0:
		return vehicle.Bool(false)
	case ok && number == 1:
		return vehicle.Bool(true)
	}
	return vehicle.Invalid()
}

func asInt(v vehicle.Value, low, high int64) vehicle.Value {
	if v.Kind() == vehicle.KindFloat {
		v = rounded(v)
	}
	if i, ok := v.Int(); ok && i >= low && i <= high {
		return v
	}
	return vehicle.Invalid()
}

func asUint64(v vehicle.Value) vehicle.Value {
	if v.Kind() == vehicle.KindFloat {
		v = rounded(v)
	}
	if _, ok := v.Uint(); ok {
		return v
	}
	return vehicle.Invalid()
}

// rounded is the integer nearest to a float, halves away from zero.
func rounded(v vehicle.Value) vehicle.Value {
	const above64 = 1 << 64 // the first float64 that no uint64 holds
	number, _ := v.Number()
	number = math.Round(number)
	switch {
	case number >= -1<<63 && number < 1<<63:
		return vehicle.Int(int64(number))
	case number > 0 && number < above64:
		return vehicle.Uint(uint64(number))
	}
	return vehicle.Invalid()
}

func asFloat(v vehicle.Value, limit float64) vehicle.Value {
	number, ok := v.Number()
	if !ok || math.Abs(number) > limit {
		return vehicle.Invalid()
	}
	return vehicle.Float(number)
}

// named is a value of a values table in the type; false if the type can't hold
// it, and then it is as it stands in the file.
func (t Type) named(value any) (vehicle.Value, bool) {
	var v vehicle.Value
	switch value := value.(type) {
	case bool:
		v = vehicle.Bool(value)
	case int64:
		v = vehicle.Int(value)
	case uint64:
		v = vehicle.Uint(value)
	case float64:
		v = vehicle.Float(value)
	case string:
		v = vehicle.String(value)
	}
	if fitted := t.Fit(v); fitted.IsValid() {
		return fitted, true
	}
	if t == String { // 1: 2 under a string means the text "2"
		return vehicle.String(v.String()), true
	}
	return v, false
}
