package transmit

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/canbus/mapping"
	"github.com/fascia-edge/fascia/config"
)

// Config is the section "can.transmit".
type Config struct {
	// What clients may have sent to the buses, by request on act/; without a rule nothing is ever sent.
	Rules []RuleConfig `yaml:"rules"`
	// Messages that carry a counter, a checksum or an authenticator, and how they are kept right.
	Messages []MessageConfig `yaml:"messages"`
}

// RuleConfig allows one signal to some roles. Of several rules for a path the
// first that names the role counts.
type RuleConfig struct {
	// VSS path of the actuator: requests come on act/ and the path with slashes. Without it they come on act/<bus>/<message>/<signal>.
	Path string `yaml:"path"`
	// Signal to send, as Message.Signal or as its bare name where only one message of the bus has it; it may be left out where a KUKSA mapping names it for the path (vss2dbc).
	Signal string `yaml:"signal"`
	// Bus to send it on; it may be left out where only one bus has the signal.
	Bus string `yaml:"bus"`
	// Roles that may ask; operator is who comes by the control socket, link:<name> who comes by a link.
	Roles []string `yaml:"roles" required:"true"`
	// Least number that may be asked for, in the unit of the path.
	Min *float64 `yaml:"min"`
	// Greatest number that may be asked for, in the unit of the path.
	Max *float64 `yaml:"max"`
	// The only values that may be asked for, by the physical number of the signal that stands for each, such as {0: "OFF", 1: "ON"}.
	Values map[int64]any `yaml:"values"`
	// Numbers must be min and a multiple of this; 0 allows any.
	Step float64 `yaml:"step" default:"0" min:"0"`
	// Conversion between the unit of the signal (from) and that of the path (to).
	Unit *mapping.Unit `yaml:"unit"`
	// How many requests are let through, such as 5/s, 10/min or 2/h; so many may come at once.
	Rate string `yaml:"rate" default:"5/s"`
	// Condition over the vehicle's state that must hold when the frame is sent, such as Vehicle.Speed == 0; a value that is missing makes it false.
	When string `yaml:"when"`
	// Age at which a request is too old to be carried out; a message expiry that ends earlier counts too.
	TTL config.Duration `yaml:"ttl" default:"2s" min:"10ms" max:"1m"`
	// What shows that the ECU has done it; without it a request is done once its frames are sent.
	Answer *AnswerConfig `yaml:"answer"`
	// How many frames are sent for a request.
	Repeat int `yaml:"repeat" default:"1" min:"1" max:"100"`
	// Time from one of these frames to the next.
	Every config.Duration `yaml:"every" default:"20ms" min:"1ms" max:"1s"`
}

// AnswerConfig is one of path, signal and when. Only what comes in after the
// first frame was sent counts.
type AnswerConfig struct {
	// VSS path that must take the value that was asked for.
	Path string `yaml:"path"`
	// Signal on the bus that must take the number that was sent, as Message.Signal.
	Signal string `yaml:"signal"`
	// Bus of that signal; without it the one that the rule sends on.
	Bus string `yaml:"bus"`
	// Condition over the vehicle's state that must become true; every value that it names must come in anew.
	When string `yaml:"when"`
	// How long the answer may take.
	Within config.Duration `yaml:"within" default:"500ms" min:"1ms" max:"8s"`
}

// MessageConfig tells how the frames of a message are protected.
type MessageConfig struct {
	// Bus of the message; it may be left out where only one bus has it.
	Bus string `yaml:"bus"`
	// Message by its name in the DBC.
	Message string `yaml:"message" required:"true"`
	// Signal that counts the frames; it goes on from the last frame seen on the bus.
	Counter string `yaml:"counter"`
	// How the checksum is computed.
	Checksum *ChecksumConfig `yaml:"checksum"`
	// The message is authenticated (AUTOSAR SecOC): without its key the gateway can't send it, and requests are refused.
	SecOC bool `yaml:"secoc" default:"false"`
}

// ChecksumConfig is where the checksum stands and how it is computed over the
// other bytes of the frame.
type ChecksumConfig struct {
	// Signal that holds it: a whole byte, for sum one of any length.
	Signal string `yaml:"signal"`
	// Byte that holds it, from 0, in place of signal.
	Byte *int `yaml:"byte" min:"0" max:"63"`
	// sum of the bytes; xor of the bytes; crc8-sae-j1850; e2e-p01 and e2e-p02, the AUTOSAR E2E profiles 1 and 2, which have their own counter.
	Kind string `yaml:"kind" required:"true" enum:"sum,xor,crc8-sae-j1850,e2e-p01,e2e-p02"`
	// Number that is mixed in: the Data ID of e2e-p01; for sum, xor and crc8-sae-j1850 one or two bytes, the high one first, before those of the frame.
	DataID int `yaml:"data_id" default:"0" min:"0" max:"65535"`
	// How e2e-p01 mixes the Data ID in: both bytes; alt, the low one on even counters and the high one on odd; low; or nibble, where the low half of the high byte stands beside the counter.
	DataIDMode string `yaml:"data_id_mode" default:"both" enum:"both,alt,low,nibble"`
	// The 16 Data IDs of e2e-p02, one for each value of the counter.
	DataIDList []int `yaml:"data_id_list"`
	// Mix in the frame's identifier before all else, high byte first: two bytes, or four of a 29-bit one; for sum, xor and crc8-sae-j1850.
	Identifier bool `yaml:"identifier" default:"false"`
}

// Validate checks what needs no database.
func (c *RuleConfig) Validate(r *config.Reporter) {
	if c.Path != "" && !isPath(c.Path) {
		r.At("path").Errorf("%q: want a VSS path that begins with Vehicle., such as Vehicle.Cabin.HVAC.IsAirConditioningActive", c.Path)
	}
	if len(c.Roles) == 0 {
		r.At("roles").Errorf("want the roles that may ask: without one nobody may")
	}
	for i, role := range c.Roles {
		if role == "" {
			r.At("roles", i).Errorf("want the name of a role")
		}
	}
	if _, err := parseRate(c.Rate); err != nil {
		r.At("rate").Errorf("%v", err)
	}
	for key, x := range map[string]*float64{"min": c.Min, "max": c.Max} {
		if x != nil && (math.IsNaN(*x) || math.IsInf(*x, 0)) {
			r.At(key).Errorf("want a number")
		}
	}
	if took := c.longest(); took > LongestRequest {
		r.Errorf("repeat, every and answer.within come to %s: want at most %s for a request", took, LongestRequest)
	}
	if math.IsNaN(c.Step) || math.IsInf(c.Step, 0) {
		r.At("step").Errorf("want a number of 0 or more")
	}
	switch {
	case len(c.Values) > 0 && (c.Min != nil || c.Max != nil || c.Step != 0 || c.Unit != nil):
		r.At("values").Errorf("values are all that may be asked for: want no min, max, step or unit beside them")
	case (c.Min == nil) != (c.Max == nil):
		r.Errorf("want min and max, both or neither")
	case c.Min != nil && *c.Min > *c.Max:
		r.At("min").Errorf("want at most max, %v", *c.Max)
	case c.Step != 0 && c.Min == nil:
		r.At("step").Errorf("steps are counted from min: want min and max")
	}
}

// LongestRequest is how long a rule may take from the first frame to its outcome.
const LongestRequest = 9 * time.Second

func (c *RuleConfig) longest() time.Duration {
	took := time.Duration(c.Repeat-1) * time.Duration(c.Every)
	if c.Answer != nil {
		took = max(took, time.Duration(c.Answer.Within))
	}
	return took
}

// Validate checks that there is one proof.
func (c *AnswerConfig) Validate(r *config.Reporter) {
	given := 0
	for _, text := range []string{c.Path, c.Signal, c.When} {
		if text != "" {
			given++
		}
	}
	if given != 1 {
		r.Errorf("want one of path, signal and when: what proves that it is done")
	}
	if c.Path != "" && !isPath(c.Path) {
		r.At("path").Errorf("%q: want a VSS path that begins with Vehicle.", c.Path)
	}
	if c.Bus != "" && c.Signal == "" {
		r.At("bus").Errorf("a bus is that of a signal: want signal beside it")
	}
}

// Validate checks that something is said of the message.
func (c *MessageConfig) Validate(r *config.Reporter) {
	if c.Counter == "" && c.Checksum == nil && !c.SecOC {
		r.Errorf("want counter, checksum or secoc: nothing is said of the message")
	}
}

// Validate checks what belongs to which kind.
func (c *ChecksumConfig) Validate(r *config.Reporter) {
	if (c.Signal == "") == (c.Byte == nil) {
		r.Errorf("want signal or byte: where the checksum stands")
	}
	if c.Kind == kindP02 && len(c.DataIDList) != 16 {
		r.At("data_id_list").Errorf("e2e-p02 has 16 Data IDs, got %d", len(c.DataIDList))
	}
	for i, id := range c.DataIDList {
		if id < 0 || id > 0xFF {
			r.At("data_id_list", i).Errorf("want a byte, 0 to 255, got %d", id)
		}
	}
	if c.Kind != kindP02 && len(c.DataIDList) > 0 {
		r.At("data_id_list").Errorf("a list of Data IDs belongs to e2e-p02; %s has data_id", c.Kind)
	}
	if c.Kind == kindP02 && c.DataID != 0 {
		r.At("data_id").Errorf("e2e-p02 has data_id_list in place of data_id")
	}
	if c.Kind != kindP01 && c.DataIDMode != "both" {
		r.At("data_id_mode").Errorf("data_id_mode belongs to e2e-p01")
	}
	if c.Identifier && (c.Kind == kindP01 || c.Kind == kindP02) {
		r.At("identifier").Errorf("the E2E profiles mix in a Data ID, not the identifier")
	}
}

// isPath holds a path to letters, digits and underscores between dots: it is a
// topic too.
func isPath(path string) bool {
	names := strings.Split(path, ".")
	if len(names) < 2 || names[0] != "Vehicle" {
		return false
	}
	for _, name := range names {
		if name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return false
		}
	}
	return true
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
