package mapping

import (
	"math"
	"strings"
	"testing"
)

// The results are py-expression-eval 0.3.14's.
func TestFormulasGiveWhatPyExpressionEvalGives(t *testing.T) {
	for _, c := range []struct {
		text string
		x    float64
		want float64
	}{
		{"floor((x*40)-100)", 2, -20},
		{"(x+100)/40", -20, 2},
		{"floor(x+0.5)", -0.6, -1},
		{"floor(abs(x/5))", -26, 5},
		{"x", 1.5, 1.5},
		{"2^3^2", 0, 64}, // from left to right
		{"-x^2", 3, -9},
		{"-x*2", 3, -6},
		{"-x%2", 3, -1}, // -(x % 2)
		{"6/2*3", 0, 9},
		{"2*7/4*3", 0, 10.5},
		{"10%4*3", 0, 6},
		{"x % 3", -7, 2},
		{"7 % -3 + 0*x", 0, -2},
		{"round(x)", 2.5, 2}, // to even
		{"round(x)", 3.5, 4},
		{"min(x, 3, 2) + max(x, 1)", 2, 4},
		{"pow(x,2) + pyt(3, 4)", 3, 14},
		{"atan2(0, x)", -1, math.Pi},
		{"sind(x) + cosd(60)", 30, 1},
		{"log(E^x)", 2, 2},
		{"log(x, 10)", 1000, 3},
		{"fac(x)", 5, 120},
		{"if(x > 3, 10, 20)", 4, 10},
		{"x >= 2 and x < 5", 3, 1},
		{"not x > 2 or x == 7", 7, 1},
		{"1 + 2 < 4", 0, 1},
		{"x xor 1", 1, 0},
		{"1e-2 * x + 0x1F + .5", 100, 32.5},
		{"2*PI*x /* round */", 1, 2 * math.Pi},
	} {
		f, err := compileFormula(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := f(c.x); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s of %v: got %v, want %v", c.text, c.x, got, c.want)
		}
	}
}

// Where py-expression-eval has no result a formula has none either, or the one of
// mathematics.
func TestFormulasBeyondPyExpressionEval(t *testing.T) {
	for _, c := range []struct {
		text    string
		x, want float64
	}{
		{"x*-1", 3, -3},
		{"1+x/-40", 80, -1},
		{"2^-x", 1, 0.5},
		{"- -x", 4, 4},
		{"if(x == 0, 0, 1/x)", 0, 0},
		{"1/x", 0, math.Inf(1)},
		{"sqrt(x)", -1, math.NaN()},
		{"sqrt(x) > 1", -1, math.NaN()},
		{"log(x) < 1", 0, math.NaN()},
		{"fac(x)", 2.5, math.NaN()},
		{"fac(x)", 1e9, math.Inf(1)},
		{"x % 0", 3, math.NaN()},
	} {
		f, err := compileFormula(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := f(c.x); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("%s of %v: got %v, want %v", c.text, c.x, got, c.want)
		}
	}
}

func TestMistakesInAFormulaAreNamedWithTheirColumn(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "column 1: the expression ends here: want a number, x, a function or a bracket",
		"floor(x":                  "column 8: the expression ends here: want a closing bracket",
		"x +":                      "column 4: the expression ends here",
		"x 3":                      "column 3: unexpected '3': want an operator",
		"flor(x)":                  `column 1: unknown name "flor": did you mean "floor"?`,
		"2 * yyyyyy":               `column 5: unknown name "yyyyyy": want abs, acos`,
		"random(x)":                `column 1: unknown name "random"`,
		"x || 'a'":                 "column 3: unexpected '|'",
		"floor x":                  "column 7: unexpected 'x': want an opening bracket",
		"pow(x)":                   "column 1: pow: want 2 arguments, got 1",
		"min(x)":                   "min: want 2 arguments or more, got 1",
		"log(1, 2, 3)":             "log: want 1 or 2 arguments, got 3",
		"1.2.3 + x":                `column 1: "1.2.3" is no number`,
		"ä + x":                    "column 1: unexpected 'ä'",
		"x + ä":                    "column 5: unexpected 'ä'",
		strings.Repeat("(", 200):   "want at most 100 brackets and signs in one another",
		strings.Repeat("- ", 200):  "want at most 100 brackets and signs in one another",
		strings.Repeat("x+", 1000): "want at most 1000 bytes, got 2000",
	} {
		if _, err := compileFormula(text); err == nil || !strings.Contains(err.Error(), "math") || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: got %v, want %q", text, err, want)
		}
	}
}

func TestFormulasAllocateNothing(t *testing.T) {
	f, err := compileFormula("if(x > 3, floor((x*40)-100), min(x, 2, 3))")
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { f(4) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzFormula(f *testing.F) {
	for _, seed := range []string{"floor((x*40)-100)", "if(x>3 and not x==4, 1e-3, -x^2)", "2**-x%3", "log(x, 10)/*c*/", "0x1F xor ("} {
		f.Add(seed, 2.5)
	}
	f.Fuzz(func(t *testing.T, text string, x float64) {
		fn, err := compileFormula(text)
		if (fn == nil) == (err == nil) && err == nil {
			t.Fatalf("%q: neither a formula nor an error", text)
		}
		if err == nil {
			fn(x)
		}
	})
}
