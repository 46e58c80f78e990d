package record

import (
	"strconv"
	"strings"

	"github.com/fascia-edge/fascia/canbus/can"
	"github.com/fascia-edge/fascia/canbus/source"
)

// Selection is which data frames of a bus are recorded. Nil is all of them, and
// remote and error frames too.
type Selection struct {
	filters  []source.Filter
	standard [(can.MaxStandardID + 1) / 64]uint64 // a bit for each identifier
	extended map[uint32]struct{}
	masked   []source.Filter
}

// Select makes a selection of the frames that match one of the filters.
func Select(filters []source.Filter) *Selection {
	s := &Selection{
		filters:  append([]source.Filter{}, filters...), // none at all is not nil
		extended: map[uint32]struct{}{},
	}
	for _, f := range filters {
		switch {
		case !f.Extended && f.Mask == can.MaxStandardID:
			s.standard[f.ID/64] |= 1 << (f.ID % 64)
		case f.Extended && f.Mask == can.MaxExtendedID:
			s.extended[f.ID] = struct{}{}
		default:
			s.masked = append(s.masked, f)
		}
	}
	return s
}

// has reports whether a frame is selected.
func (s *Selection) has(fr *can.Frame) bool {
	if s == nil {
		return true
	}
	if fr.Flags&(can.Remote|can.Error) != 0 {
		return false
	}
	extended := fr.Has(can.Extended)
	if extended {
		if _, ok := s.extended[fr.ID]; ok {
			return true
		}
	} else if fr.ID <= can.MaxStandardID && s.standard[fr.ID/64]>>(fr.ID%64)&1 != 0 {
		return true
	}
	for _, f := range s.masked {
		if f.Extended == extended && (fr.ID^f.ID)&f.Mask == 0 {
			return true
		}
	}
	return false
}

// ParseIdentifier reads an identifier as 0x and the digits that candump writes, 3
// for a standard one and 8 for an extended one, and gives the filter for it.
func ParseIdentifier(text string) (source.Filter, bool) {
	digits, ok := strings.CutPrefix(text, "0x")
	if !ok || len(digits) != 3 && len(digits) != 8 {
		return source.Filter{}, false
	}
	f := source.Filter{Mask: can.MaxStandardID, Extended: len(digits) == 8}
	if f.Extended {
		f.Mask = can.MaxExtendedID
	}
	id, err := strconv.ParseUint(digits, 16, 32)
	f.ID = uint32(id)
	return f, err == nil && f.ID&^f.Mask == 0
}
