package mapping

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fascia-edge/fascia/config"
)

// formula is a compiled transform.math: a number for x. What Python refuses, such
// as a division by zero or the root of a negative number, gives NaN or an
// infinity; a comparison gives 1 or 0.
type formula func(x float64) float64

// Bounds of a formula, and with them of the stack that a hostile one can take.
const (
	deepestFormula = 100
	longestFormula = 1000
)

// compileFormula compiles an expression in the language of py-expression-eval
// 0.3, to which KUKSA's provider hands it, with its precedence. Three things
// differ: a sign right behind an operator (x*-1) means what it does in
// mathematics, where py-expression-eval fails or miscalculates; what it has for
// texts (||, in, concat) is refused; and so is random.
// The error names the column in the expression.
func compileFormula(text string) (formula, error) {
	if len(text) > longestFormula {
		return nil, fmt.Errorf("math: want at most %d bytes, got %d", longestFormula, len(text))
	}
	p := &formulaParser{text: text}
	f, err := p.level(0)
	if err == nil && p.peek() != 0 {
		err = p.unexpected("an operator")
	}
	return f, err
}

// levels are the operators, those that bind least first; each level goes from
// left to right. The level before the comparisons has not, the one of * the sign.
var levels = [...][]string{
	{"or", "xor"},
	{"and"},
	{}, // not
	{"==", "!=", "<=", ">=", "<", ">"},
	{"+", "-"},
	{"*"},
	{"/", "%"},
	{"**", "^"},
}

const (
	levelNot     = 2
	levelProduct = 5
	levelPower   = 7
)

// formulaParser reads a formula by recursive descent.
type formulaParser struct {
	text  string
	at    int
	depth int
}

func (p *formulaParser) errorf(at int, format string, args ...any) error {
	return fmt.Errorf("math, column %d: %s", utf8.RuneCountInString(p.text[:at])+1, fmt.Sprintf(format, args...))
}

func (p *formulaParser) unexpected(want string) error {
	if c := p.peek(); c != 0 {
		return p.errorf(p.at, "unexpected %q: want %s", c, want)
	}
	return p.errorf(p.at, "the expression ends here: want %s", want)
}

// peek skips white space and comments and gives the next character, 0 at the end.
func (p *formulaParser) peek() rune {
	for p.at < len(p.text) {
		rest := p.text[p.at:]
		if end := strings.Index(rest, "*/"); strings.HasPrefix(rest, "/*") && end >= 2 {
			p.at += end + 2
			continue
		}
		c, _ := utf8.DecodeRuneInString(rest)
		if !strings.ContainsRune(" \t\r\n", c) {
			return c
		}
		p.at++
	}
	return 0
}

// operator takes the next operator if it is one of those.
func (p *formulaParser) operator(of ...string) string {
	p.peek()
	rest := p.text[p.at:]
	for _, operator := range of {
		after, found := strings.CutPrefix(rest, operator)
		switch {
		case !found || operator == "*" && strings.HasPrefix(after, "*"):
		case isLetter(operator[0]) && after != "" && (isLetter(after[0]) || isDigit(after[0]) || after[0] == '_'):
		default:
			p.at += len(operator)
			return operator
		}
	}
	return ""
}

// level reads operands of the next level with operators of level n between them.
func (p *formulaParser) level(n int) (formula, error) {
	f, err := p.operand(n)
	for err == nil {
		operator := p.operator(levels[n]...)
		if operator == "" {
			return f, nil
		}
		var right formula
		if right, err = p.operand(n); err == nil {
			f = binaries[operator](f, right)
		}
	}
	return nil, err
}

// operand is what stands beside an operator of level n.
func (p *formulaParser) operand(n int) (formula, error) {
	switch {
	case n == levelNot && p.operator("not") != "":
		return p.prefixed(n, func(v float64) float64 { return truth(v == 0) })
	case n >= levelProduct && p.operator("-") != "":
		return p.prefixed(n, func(v float64) float64 { return -v })
	case n >= levelProduct && p.operator("+") != "":
		return p.prefixed(n, func(v float64) float64 { return v })
	case n == levelPower:
		return p.primary()
	}
	return p.level(n + 1)
}

// prefixed reads the operand of a prefix, which may have one itself.
func (p *formulaParser) prefixed(n int, fn func(float64) float64) (formula, error) {
	f, err := p.nested(func() (formula, error) { return p.operand(n) })
	return func(x float64) float64 { return fn(f(x)) }, err
}

// nested bounds how deep prefixes and brackets stand in one another.
func (p *formulaParser) nested(read func() (formula, error)) (formula, error) {
	if p.depth == deepestFormula {
		return nil, p.errorf(p.at, "want at most %d brackets and signs in one another", deepestFormula)
	}
	p.depth++
	defer func() { p.depth-- }()
	return read()
}

func (p *formulaParser) whole() (formula, error) {
	return p.nested(func() (formula, error) { return p.level(0) })
}

func (p *formulaParser) primary() (formula, error) {
	c := p.peek()
	start := p.at
	switch {
	case c == '(':
		p.at++
		f, err := p.whole()
		if err == nil && p.operator(")") == "" {
			err = p.unexpected("a closing bracket")
		}
		return f, err
	case c == '.' || c < utf8.RuneSelf && isDigit(byte(c)):
		return p.number()
	case c != 0 && c < utf8.RuneSelf && isLetter(byte(c)):
		for p.at < len(p.text) && (isLetter(p.text[p.at]) || isDigit(p.text[p.at]) || p.text[p.at] == '_') {
			p.at++
		}
		return p.name(p.text[start:p.at], start)
	}
	return nil, p.unexpected("a number, x, a function or a bracket")
}

// number reads 12, .5, 1e-3 or 0x1F.
func (p *formulaParser) number() (formula, error) {
	start := p.at
	for p.at < len(p.text) {
		c := p.text[p.at]
		sign := (c == '+' || c == '-') && (p.text[p.at-1]|' ') == 'e' && !strings.HasPrefix(p.text[start:], "0x")
		if !sign && c != '.' && !isDigit(c) && !isLetter(c) {
			break
		}
		p.at++
	}
	text := p.text[start:p.at]
	number, err := strconv.ParseFloat(text, 64)
	if digits, hex := strings.CutPrefix(text, "0x"); hex {
		var integer uint64
		integer, err = strconv.ParseUint(digits, 16, 64)
		number = float64(integer)
	}
	if err != nil || math.IsInf(number, 0) {
		return nil, p.errorf(start, "%q is no number", text)
	}
	return func(float64) float64 { return number }, nil
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// name is what a name stands for: x, a constant, or a function with arguments.
func (p *formulaParser) name(name string, start int) (formula, error) {
	switch name {
	case "x":
		return func(x float64) float64 { return x }, nil
	case "PI":
		return func(float64) float64 { return math.Pi }, nil
	case "E":
		return func(float64) float64 { return math.E }, nil
	}
	fn, ok := functions[name]
	if !ok {
		known := append(functionNames(), "x", "E", "PI")
		if near, ok := config.Nearest(name, known); ok {
			return nil, p.errorf(start, "unknown name %q: did you mean %q?", name, near)
		}
		return nil, p.errorf(start, "unknown name %q: want %s", name, list(known))
	}
	if p.operator("(") == "" {
		return nil, p.unexpected("an opening bracket")
	}
	var arguments []formula
	for {
		f, err := p.whole()
		if err != nil {
			return nil, err
		}
		if arguments = append(arguments, f); p.operator(",") == "" {
			break
		}
	}
	if p.operator(")") == "" {
		return nil, p.unexpected("a closing bracket")
	}
	if n := len(arguments); n < fn.least || n > fn.most {
		return nil, p.errorf(start, "%s: want %s, got %d", name, fn.wanted(), n)
	}
	return fn.bind(arguments), nil
}
