package message

// Forms are the encodings of one publication at QoS 0, each made when the first
// receiver of its form comes. The zero value is ready; it is for one goroutine, and
// is used again for the next publication.
type Forms struct {
	old, new []byte // for versions below 5, and for 5
}

// Begin forgets the encodings of the publication before.
func (f *Forms) Begin() { f.old, f.new = f.old[:0], f.new[:0] }

// Of is p encoded for a version, without RETAIN and subscription identifiers; left
// is what it has to live in seconds, 0 for no end. It is valid until Begin.
func (f *Forms) Of(p *Publication, left uint32, version byte) []byte {
	form := &f.old
	if version == 5 {
		form = &f.new
	}
	if len(*form) == 0 {
		out := p.Outgoing(0, false, left)
		out.Version = version
		*form = out.Append(*form)
	}
	return *form
}
