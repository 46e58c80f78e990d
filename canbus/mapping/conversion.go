package mapping

// Conversion is how a number in one unit becomes one in another of the same
// kind: number×scale+offset. The error says which unit is unknown, or of what
// kinds the two are.
func Conversion(from, to string) (scale, offset float64, err error) {
	c, err := convert(from, to)
	return c.scale, c.offset, err
}
