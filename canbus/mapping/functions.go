package mapping

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// binaries make a formula of two, by the operator between them.
var binaries = map[string]func(a, b formula) formula{
	"or":  func(a, b formula) formula { return either(a, b, true) },
	"and": func(a, b formula) formula { return either(a, b, false) },
	"xor": compare(func(a, b float64) bool { return (a != 0) != (b != 0) }),
	"==":  compare(func(a, b float64) bool { return a == b }),
	"!=":  compare(func(a, b float64) bool { return a != b }),
	"<=":  compare(func(a, b float64) bool { return a <= b }),
	">=":  compare(func(a, b float64) bool { return a >= b }),
	"<":   compare(func(a, b float64) bool { return a < b }),
	">":   compare(func(a, b float64) bool { return a > b }),
	"+":   between(func(a, b float64) float64 { return a + b }),
	"-":   between(func(a, b float64) float64 { return a - b }),
	"*":   between(func(a, b float64) float64 { return a * b }),
	"/":   between(func(a, b float64) float64 { return a / b }),
	"%":   between(modulo),
	"^":   between(math.Pow),
	"**":  between(math.Pow),
}

func between(fn func(a, b float64) float64) func(a, b formula) formula {
	return func(a, b formula) formula {
		return func(x float64) float64 { return fn(a(x), b(x)) }
	}
}

// compare gives 1 or 0, and no result where one of the two has none.
func compare(fn func(a, b float64) bool) func(a, b formula) formula {
	return between(func(a, b float64) float64 {
		if !finite(a) || !finite(b) {
			return math.NaN()
		}
		return truth(fn(a, b))
	})
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// either gives a if its truth decides, else b, as Python's or and and do.
func either(a, b formula, decides bool) formula {
	return func(x float64) float64 {
		if v := a(x); !finite(v) || (v != 0) == decides {
			return v
		}
		return b(x)
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// modulo has the sign of its divisor, as Python's.
func modulo(a, b float64) float64 {
	m := math.Mod(a, b)
	if m != 0 && math.Signbit(m) != math.Signbit(b) {
		m += b
	}
	return m
}

// function is a function of the language with how many arguments it takes.
type function struct {
	least, most int
	bind        func(arguments []formula) formula
}

func (fn function) wanted() string {
	switch {
	case fn.least == fn.most && fn.least == 1:
		return "1 argument"
	case fn.least == fn.most:
		return fmt.Sprintf("%d arguments", fn.least)
	case fn.most == math.MaxInt:
		return fmt.Sprintf("%d arguments or more", fn.least)
	}
	return fmt.Sprintf("%d or %d arguments", fn.least, fn.most)
}

const degree = math.Pi / 180

var functions = map[string]function{
	"sin": unary(math.Sin), "cos": unary(math.Cos), "tan": unary(math.Tan),
	"asin": unary(math.Asin), "acos": unary(math.Acos), "atan": unary(math.Atan),
	"sind":  unary(func(a float64) float64 { return math.Sin(a * degree) }),
	"cosd":  unary(func(a float64) float64 { return math.Cos(a * degree) }),
	"tand":  unary(func(a float64) float64 { return math.Tan(a * degree) }),
	"asind": unary(func(a float64) float64 { return math.Asin(a) / degree }),
	"acosd": unary(func(a float64) float64 { return math.Acos(a) / degree }),
	"atand": unary(func(a float64) float64 { return math.Atan(a) / degree }),
	"sqrt":  unary(math.Sqrt), "exp": unary(math.Exp), "abs": unary(math.Abs),
	"ceil": unary(math.Ceil), "floor": unary(math.Floor),
	"round": unary(math.RoundToEven), // as Python's
	"fac":   unary(factorial),
	"log":   {1, 2, logarithm},
	"min":   reduce(math.Min), "max": reduce(math.Max),
	"pow": binary(math.Pow), "atan2": binary(math.Atan2),
	"pyt": binary(func(a, b float64) float64 { return math.Sqrt(a*a + b*b) }),
	"if":  {3, 3, choose},
}

func functionNames() []string { return slices.Sorted(maps.Keys(functions)) }

func unary(fn func(float64) float64) function {
	return function{1, 1, func(a []formula) formula {
		f := a[0]
		return func(x float64) float64 { return fn(f(x)) }
	}}
}

func binary(fn func(a, b float64) float64) function {
	return function{2, 2, func(a []formula) formula { return between(fn)(a[0], a[1]) }}
}

func reduce(fn func(a, b float64) float64) function {
	return function{2, math.MaxInt, func(a []formula) formula {
		f := a[0]
		for _, g := range a[1:] {
			f = between(fn)(f, g)
		}
		return f
	}}
}

// logarithm is the natural one, or that to a base.
func logarithm(a []formula) formula {
	if len(a) == 1 {
		f := a[0]
		return func(x float64) float64 { return math.Log(f(x)) }
	}
	return between(func(a, base float64) float64 { return math.Log(a) / math.Log(base) })(a[0], a[1])
}

// choose computes the one that the condition picks, where Python computes both
// first: if(x == 0, 0, 1/x) has a result for 0.
func choose(a []formula) formula {
	condition, then, otherwise := a[0], a[1], a[2]
	return func(x float64) float64 {
		switch v := condition(x); {
		case !finite(v):
			return v
		case v != 0:
			return then(x)
		}
		return otherwise(x)
	}
}

// factorial is that of an integer from 0; what is larger than a float64 holds is
// an infinity.
func factorial(n float64) float64 {
	if n < 0 || n != math.Trunc(n) {
		return math.NaN()
	}
	result := 1.0
	for i := 2.0; i <= n && !math.IsInf(result, 0); i++ {
		result *= i
	}
	return result
}
