package dbc

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/fascia-edge/fascia/canbus/can"
)

// Plan decodes some signals of a message and passes over the others. All that a
// database says of them is resolved when the plan is made: a frame costs one load
// for each run of signals that lie within the same 8 bytes, and a signal two
// shifts, a mask, a multiplication and an addition.
//
// A Plan does not change: any number of goroutines may use it.
type Plan struct {
	size     int
	selector *field // the multiplexer that chooses the variant; nil without
	bounds   []uint64
	variants []variant // of the selector's values from bounds[i] on
	dense    []uint16  // index into variants by value, where there are few values
}

// variant is what a frame carries with one value of the selector.
type variant struct {
	blocks []*block
	most   int // signals, at most
}

// block is a run of signals with the same conditions that one load serves.
type block struct {
	ops       []op
	gates     []gate // multiplexers beside the plan's selector
	at        uint8
	bigEndian bool
	single    *Signal // one that isn't an integer within 8 bytes; there are no ops then
}

// op turns the 8 bytes of a block into one value.
type op struct {
	signal        *Signal
	scale, offset float64
	mask          uint64
	left, right   uint8
}

// gate lets a block through when a multiplexer has one of the values.
type gate struct {
	field  *field
	ranges []Range
}

// denseBits is the longest selector whose variants are found by an array.
const denseBits = 10

// maxVaried bounds the signals in all variants of a plan together. The largest
// message of a production car's database has 37 variants of 109 signals.
const maxVaried = 1 << 18

// Plan makes the plan for those of the message's signals. Decode gives them in
// the order of the file, whatever theirs is here.
func (m *Message) Plan(signals []*Signal) *Plan {
	wanted := slices.DeleteFunc(slices.Clone(signals), func(s *Signal) bool { return s.Message != m })
	slices.SortFunc(wanted, func(a, b *Signal) int { return a.Index - b.Index })
	wanted = slices.Compact(wanted)
	p := &Plan{size: m.Size}
	if selector := selectorOf(wanted); selector != nil {
		p.vary(wanted, selector)
	}
	if len(p.variants) == 0 {
		p.variants = []variant{variantOf(runs(wanted, nil))}
	}
	return p
}

// Size is the number of bytes that a frame must have.
func (p *Plan) Size() int { return p.size }

// selectorOf is the multiplexer on which most of the signals depend.
func selectorOf(signals []*Signal) (most *Signal) {
	dependent := map[*Signal]int{}
	for _, s := range signals {
		for ; s.Selector != nil; s = s.Selector {
			if dependent[s.Selector]++; most == nil || dependent[s.Selector] > dependent[most] {
				most = s.Selector
			}
		}
	}
	return most
}

// vary makes the variants: between two bounds no signal's range begins or ends.
// It makes none where they would take too much memory; gates do then.
func (p *Plan) vary(wanted []*Signal, selector *Signal) {
	last := uint64(math.MaxUint64) >> selector.field.right
	p.bounds = []uint64{0}
	for _, s := range wanted {
		for _, r := range s.selectedBy(selector) {
			p.bounds = append(p.bounds, min(r.First, last))
			if r.Last < last {
				p.bounds = append(p.bounds, r.Last+1)
			}
		}
	}
	slices.Sort(p.bounds)
	p.bounds = slices.Compact(p.bounds)
	if len(p.bounds) > maxVaried/len(wanted) {
		return
	}
	p.selector = &selector.field
	for _, value := range p.bounds {
		carried := slices.DeleteFunc(slices.Clone(wanted), func(s *Signal) bool {
			ranges := s.selectedBy(selector)
			return ranges != nil && !has(ranges, value)
		})
		p.variants = append(p.variants, variantOf(runs(carried, selector)))
	}
	if last >= 1<<denseBits || len(p.variants) > math.MaxUint16 {
		return
	}
	p.dense = make([]uint16, last+1)
	for value := range p.dense {
		p.dense[value] = uint16(p.variantFrom(uint64(value)))
	}
}

// selectedBy are the values of a multiplexer with which a frame carries the
// signal, nil if it doesn't depend on it.
func (s *Signal) selectedBy(selector *Signal) []Range {
	for ; s.Selector != nil; s = s.Selector {
		if s.Selector == selector {
			return s.Selected
		}
	}
	return nil
}

func has(ranges []Range, value uint64) bool {
	for _, r := range ranges {
		if r.has(value) {
			return true
		}
	}
	return false
}

func variantOf(blocks []*block) variant {
	v := variant{blocks: blocks}
	for _, b := range blocks {
		v.most += max(1, len(b.ops))
	}
	return v
}

// runs makes the blocks of the signals. Conditions on the selector are met.
func runs(signals []*Signal, selector *Signal) (blocks []*block) {
	var (
		open *block // the last, while it can grow
		last *Signal
	)
	for _, s := range signals {
		f := &s.field
		if f.kind != kindInt || f.ninth {
			blocks, open = append(blocks, &block{single: s, gates: s.gates(selector)}), nil
			continue
		}
		if open == nil || open.bigEndian != f.bigEndian || !open.covers(s) || last.Selector != s.Selector || !slices.Equal(last.Selected, s.Selected) {
			open = &block{bigEndian: f.bigEndian, gates: s.gates(selector)}
			if !open.covers(s) { // a load at byte 0 serves all of a classic frame
				open.at = f.at
			}
			blocks = append(blocks, open)
		}
		skip := uint8(s.firstBit() - 8*int(open.at))
		o := op{signal: s, scale: s.Scale, offset: s.Offset, mask: f.mask, left: skip, right: f.right}
		if !s.BigEndian {
			o.left = f.right - skip
		}
		open.ops = append(open.ops, o)
		last = s
	}
	return blocks
}

// covers reports whether the 8 bytes of the block's load hold the signal.
func (b *block) covers(s *Signal) bool {
	first := s.firstBit() - 8*int(b.at)
	return first >= 0 && first+s.Length <= 64
}

// gates are the conditions of a signal but for those on the selector.
func (s *Signal) gates(selector *Signal) (gates []gate) {
	for ; s.Selector != nil; s = s.Selector {
		if s.Selector != selector {
			gates = append(gates, gate{&s.Selector.field, s.Selected})
		}
	}
	return gates
}

// Decode is Message.Decode for the plan's signals.
func (p *Plan) Decode(fr *can.Frame, dst []Value) ([]Value, error) {
	if fr.Flags&(can.Remote|can.Error) != 0 {
		return dst, ErrNoData
	}
	if int(fr.Len) < p.size {
		return dst, ErrShort
	}
	v := &p.variants[0]
	if p.selector != nil {
		v = &p.variants[p.variant(p.selector.selected(&fr.Data))]
	}
	n := len(dst)
	dst = slices.Grow(dst, v.most)[:n+v.most]
	for _, b := range v.blocks {
		if len(b.gates) > 0 && !b.open(&fr.Data) {
			continue
		}
		if b.single != nil {
			raw := b.single.field.raw(&fr.Data)
			dst[n] = Value{b.single, raw, b.single.physical(raw)}
			n++
			continue
		}
		word := binary.LittleEndian.Uint64(fr.Data[b.at:])
		if b.bigEndian {
			word = bits.ReverseBytes64(word)
		}
		ops := b.ops
		out := dst[n:][:len(ops)]
		for i := range ops {
			o := &ops[i]
			// Shifts are masked because the compiler then leaves out its own care
			// for shifts of 64 and more; the conversion forbids a fused
			// multiplication and addition, as in physical.
			raw := int64(word<<(o.left&63)) >> (o.right & 63) & int64(o.mask)
			out[i] = Value{o.signal, raw, float64(float64(raw)*o.scale) + o.offset}
		}
		n += len(out)
	}
	return dst[:n], nil
}

func (p *Plan) variant(value uint64) int {
	if p.dense != nil {
		return int(p.dense[value])
	}
	return p.variantFrom(value)
}

// variantFrom finds the last bound that is not above the value.
func (p *Plan) variantFrom(value uint64) int {
	i, exact := slices.BinarySearch(p.bounds, value)
	if exact {
		return i
	}
	return i - 1
}

func (b *block) open(data *[can.MaxDataFD]byte) bool {
	for i := range b.gates {
		if g := &b.gates[i]; !has(g.ranges, g.field.selected(data)) {
			return false
		}
	}
	return true
}
