package main

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/canbus/can"
)

// A bus has slow messages, ten times a second, whose first signal is published,
// and fast ones that share the rest of its frames and are decoded only. Each has
// four signals of two byte orders.
const (
	slowRate     = 10
	fastMessages = 36
	firstSlow    = 0x100
	firstFast    = 0x500
)

const signals = ` SG_ Sent : 0|32@1+ (1,0) [0|0] "us" X
 SG_ Level : 39|12@0- (0.25,-40) [0|0] "" X
 SG_ Speed : 48|8@1+ (0.5,0) [0|0] "km/h" X
 SG_ Mode : 63|8@0+ (1,0) [0|0] "" X
`

// database is the DBC of every bus.
func database(slow int) string {
	var b strings.Builder
	b.WriteString("VERSION \"\"\nBU_: X\n")
	message := func(id int, name string) {
		fmt.Fprintf(&b, "BO_ %d %s: 8 X\n%s\n", id, name, signals)
	}
	for i := range slow {
		message(firstSlow+i, fmt.Sprint("Slow", i))
	}
	for i := range fastMessages {
		message(firstFast+i, fmt.Sprint("Fast", i))
	}
	return b.String()
}

// mapping publishes the first signal of the slow messages, and has every other
// signal decoded: its path has a new value with each frame, and is published once.
func mapping(buses, slow, paths int) string {
	var b strings.Builder
	b.WriteString("signals:\n")
	rule := func(bus int, message, signal, limits string) {
		fmt.Fprintf(&b, "  - {bus: can%d, signal: %s.%s, path: Vehicle.Bus%d.%s.%s%s}\n", bus, message, signal, bus, message, signal, limits)
	}
	const once = ", min_interval: 1h"
	for bus := range buses {
		for i := range slow + fastMessages {
			message := fmt.Sprint("Slow", i)
			if i >= slow {
				message = fmt.Sprint("Fast", i-slow)
			}
			limits := once
			if i < slow && paths > 0 {
				limits = ""
				paths--
			}
			rule(bus, message, "Sent", limits)
			for _, signal := range []string{"Level", "Speed", "Mode"} {
				rule(bus, message, signal, once)
			}
		}
	}
	return b.String()
}

// slowMessages is how many slow messages a bus needs for its share of the paths.
func slowMessages(o options) int { return (o.paths + o.buses - 1) / o.buses }

// schedule is one second of a bus, in the order of its frames.
func schedule(o options) []can.Frame {
	slow := slowMessages(o)
	frames := make([]can.Frame, o.rate)
	for i := range slow {
		for k := range slowRate {
			at := (k*o.rate + i*o.rate/slow) / slowRate
			frames[at] = can.Frame{ID: uint32(firstSlow + i), Len: 8}
		}
	}
	for i, fast := 0, 0; i < len(frames); i++ {
		if frames[i].Len == 0 {
			frames[i] = can.Frame{ID: uint32(firstFast + fast%fastMessages), Len: 8}
			fast++
		}
	}
	return frames
}

// stamp makes the frame carry its moment, and others values that change.
func stamp(fr *can.Frame, began time.Time, n int) {
	binary.LittleEndian.PutUint32(fr.Data[:], uint32(time.Since(began)/time.Microsecond))
	binary.LittleEndian.PutUint32(fr.Data[4:], uint32(n)*2654435761)
}
