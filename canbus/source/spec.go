package source

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The schemes of a source URL.
const (
	SchemeReplay    = "replay"
	SchemeUDP       = "udp"
	SchemeSocketCAN = "socketcan"
	SchemeVirtual   = "virtual"
)

// MaxSpeed is the Spec.Speed of a replay as fast as it goes.
var MaxSpeed = math.Inf(1)

// maxInterfaceName is IFNAMSIZ of Linux without its closing zero.
const maxInterfaceName = 15

// Spec is a source URL taken apart. Parse makes one; the fields of a scheme are
// zero in the others.
type Spec struct {
	Scheme string

	// replay://File?speed=Speed&loop=Loop&bus=Bus&delay=Delay
	File  string        // as written: a relative one is relative to Options.Dir
	Speed float64       // times the recorded speed, MaxSpeed without waiting; 0 is 1
	Loop  bool          // begin again at the end, for ever
	Bus   string        // which bus of the log; "" is all
	Delay time.Duration // before the first frame, so that subscribers see it too

	// udp://Group?interface=Interface
	Group     netip.AddrPort // IPv4, a multicast group or an address of this machine
	Interface string         // a name, or an address of the interface; "" leaves it to the routes

	// socketcan://Name, virtual://Name
	Name string
}

// Options are what opening a Spec needs beside it.
type Options struct {
	// Dir is the folder that a relative log file is relative to, usually that
	// of the configuration file which names it; "" is the working directory.
	Dir string

	// Virtual are the in-process buses by name.
	Virtual map[string]*Virtual
}

// Parse takes a source URL apart without opening anything. Its errors name what
// was expected.
func Parse(text string) (Spec, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return Spec{}, fmt.Errorf("source %q: want SCHEME://…, with the scheme socketcan, udp, replay or virtual", text)
	}
	spec := Spec{Scheme: scheme}
	place, query, _ := strings.Cut(rest, "?")
	settings, err := url.ParseQuery(query)
	if err != nil {
		return Spec{}, fmt.Errorf("source %q: behind the question mark: %w", text, err)
	}
	switch scheme {
	case SchemeReplay:
		err = spec.parseReplay(place, settings)
	case SchemeUDP:
		err = spec.parseUDP(place, settings)
	case SchemeSocketCAN:
		err = errors.Join(spec.parseInterfaceName(place), known(settings))
	case SchemeVirtual:
		spec.Name = place
		if err = known(settings); place == "" {
			err = errors.Join(errors.New("want virtual://NAME, the name of an in-process bus"), err)
		}
	default:
		err = fmt.Errorf("unknown scheme %q: want socketcan, udp, replay or virtual", scheme)
	}
	if err != nil {
		return Spec{}, fmt.Errorf("source %q: %w", text, err)
	}
	return spec, nil
}

// ParseSpeed reads the speed of a replay: max, or how many times the recorded
// speed.
func ParseSpeed(text string) (float64, error) {
	if text == "max" {
		return MaxSpeed, nil
	}
	speed, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(speed) || speed < minSpeed || speed > maxSpeed {
		return 0, fmt.Errorf("speed %q: want max, or a number from %g to %g (2 is twice the recorded speed)", text, minSpeed, maxSpeed)
	}
	return speed, nil
}

// Speeds beyond these can only be mistakes, and would overflow the arithmetic.
const (
	minSpeed = 0.001
	maxSpeed = 1e6
)

// Open opens a bus for receiving.
func Open(spec Spec, o Options) (Source, error) {
	switch spec.Scheme {
	case SchemeReplay:
		return orNil[Source](OpenReplay(spec.in(o.Dir)))
	case SchemeUDP:
		return orNil[Source](openUDP(spec))
	case SchemeSocketCAN:
		return orNil[Source](openSocketCAN(spec.Name, receives))
	case SchemeVirtual:
		return orNil[Source](spec.attach(o))
	}
	return nil, fmt.Errorf("source: unknown scheme %q", spec.Scheme)
}

// orNil makes an interface of what was opened, nil with an error: a nil pointer
// in an interface would not compare equal to nil.
func orNil[I any, T any](opened T, err error) (none I, _ error) {
	if err != nil {
		return none, err
	}
	return any(opened).(I), nil
}

// BothWays reports whether OpenBus opens such a bus. A replay takes no frames, and
// of an address of this machine only this machine would hear.
func (s Spec) BothWays() bool {
	switch s.Scheme {
	case SchemeUDP:
		return s.Group.Addr().IsMulticast()
	case SchemeSocketCAN, SchemeVirtual:
		return true
	}
	return false
}

// OpenBus opens a bus for receiving and sending.
func OpenBus(spec Spec, o Options) (Bus, error) {
	switch spec.Scheme {
	case SchemeUDP:
		return orNil[Bus](openUDPBus(spec))
	case SchemeSocketCAN:
		return orNil[Bus](openSocketCAN(spec.Name, receives|sends))
	case SchemeVirtual:
		node, err := spec.attach(o)
		if err == nil {
			node.hearsItself = true
		}
		return orNil[Bus](node, err)
	}
	return nil, takesNone(spec)
}

func takesNone(spec Spec) error {
	return fmt.Errorf("a %s bus takes no frames: want udp://…, socketcan://… or virtual://…", spec.Scheme)
}

// OpenSink opens a bus for sending only; a replay is none.
func OpenSink(spec Spec, o Options) (Sink, error) {
	switch spec.Scheme {
	case SchemeUDP:
		return orNil[Sink](openUDPSink(spec))
	case SchemeSocketCAN:
		return orNil[Sink](openSocketCAN(spec.Name, sends))
	case SchemeVirtual:
		return orNil[Sink](spec.attach(o))
	}
	return nil, takesNone(spec)
}

// String is the URL again, in its shortest form.
func (s Spec) String() string {
	settings := url.Values{}
	place := s.Name
	switch s.Scheme {
	case SchemeReplay:
		place = (&url.URL{Path: s.File}).EscapedPath()
		if math.IsInf(s.Speed, 1) {
			settings.Set("speed", "max")
		} else if s.Speed != 0 && s.Speed != 1 {
			settings.Set("speed", strconv.FormatFloat(s.Speed, 'g', -1, 64))
		}
		if s.Loop {
			settings.Set("loop", "true")
		}
		if s.Bus != "" {
			settings.Set("bus", s.Bus)
		}
		if s.Delay != 0 {
			settings.Set("delay", s.Delay.String())
		}
	case SchemeUDP:
		place = s.Group.String()
		if s.Interface != "" {
			settings.Set("interface", s.Interface)
		}
	}
	if len(settings) > 0 {
		place += "?" + settings.Encode()
	}
	return s.Scheme + "://" + place
}

func (s *Spec) parseReplay(place string, settings url.Values) error {
	file, err := url.PathUnescape(place)
	if err != nil {
		return fmt.Errorf("file name: %w; write a percent sign as %%25", err)
	}
	if file == "" {
		return errors.New("want replay://FILE, the log to replay")
	}
	s.File, s.Speed, s.Bus = file, 1, settings.Get("bus")
	errs := []error{known(settings, "speed", "loop", "bus", "delay")}
	if settings.Has("speed") {
		s.Speed, err = ParseSpeed(settings.Get("speed"))
		errs = append(errs, err)
	}
	if settings.Has("loop") {
		switch settings.Get("loop") {
		case "true":
			s.Loop = true
		case "false":
		default:
			errs = append(errs, fmt.Errorf("loop %q: want true or false", settings.Get("loop")))
		}
	}
	if settings.Has("delay") {
		s.Delay, err = time.ParseDuration(settings.Get("delay"))
		if err != nil || s.Delay < 0 {
			errs = append(errs, fmt.Errorf("delay %q: want a duration such as 5s", settings.Get("delay")))
		}
	}
	if settings.Has("bus") && s.Bus == "" {
		errs = append(errs, errors.New("bus: want the name of a bus of the log, e.g. can1"))
	}
	return errors.Join(errs...)
}

func (s *Spec) parseUDP(place string, settings url.Values) error {
	errs := []error{known(settings, "interface")}
	group, err := netip.ParseAddrPort(place)
	if err != nil || !group.Addr().Is4() || group.Port() == 0 {
		errs = append(errs, fmt.Errorf("address %q: want an IPv4 address and a port, e.g. 239.64.142.206:20000", place))
	}
	s.Group, s.Interface = group, settings.Get("interface")
	if settings.Has("interface") {
		if _, err := netip.ParseAddr(s.Interface); err != nil && !isInterfaceName(s.Interface) {
			errs = append(errs, fmt.Errorf("interface %q: want the name or an address of a network interface", s.Interface))
		}
	}
	return errors.Join(errs...)
}

func (s *Spec) parseInterfaceName(place string) error {
	if !isInterfaceName(place) {
		return fmt.Errorf("interface %q: want the name of a CAN interface of 1 to %d characters, e.g. socketcan://can0", place, maxInterfaceName)
	}
	s.Name = place
	return nil
}

// isInterfaceName says what dev_valid_name of Linux says.
func isInterfaceName(name string) bool {
	return name != "" && len(name) <= maxInterfaceName && name != "." && name != ".." &&
		!strings.ContainsAny(name, "/: \t\n")
}

// known refuses settings that the scheme doesn't have, and repeated ones.
func known(settings url.Values, names ...string) error {
	var errs []error
	for name, values := range settings {
		switch {
		case !slices.Contains(names, name) && len(names) == 0:
			errs = append(errs, fmt.Errorf("unknown setting %q: this scheme has none", name))
		case !slices.Contains(names, name):
			errs = append(errs, fmt.Errorf("unknown setting %q: want %s", name, strings.Join(names, ", ")))
		case len(values) > 1:
			errs = append(errs, fmt.Errorf("setting %q stands there %d times: want it once", name, len(values)))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// in makes a relative log file relative to dir.
func (s Spec) in(dir string) Spec {
	if !filepath.IsAbs(s.File) {
		s.File = filepath.Join(dir, s.File)
	}
	return s
}

func (s Spec) attach(o Options) (*Node, error) {
	bus, ok := o.Virtual[s.Name]
	if !ok {
		return nil, fmt.Errorf("virtual bus %q: there is none of that name in this process (fascia demo has demo); want socketcan://, udp:// or replay://", s.Name)
	}
	return bus.Attach(), nil
}
