package transmit

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/vehicle"
)

// header begins a DBC file; messages follow.
const header = `VERSION ""

BS_:

BU_: GTW

`

// compileText compiles a section over one bus, can0.
func compileText(t *testing.T, dbcText, section string) (*Plan, []config.Problem, error) {
	t.Helper()
	db, _, err := dbc.Parse("car.dbc", []byte(header+dbcText))
	if err != nil {
		t.Fatal(err)
	}
	var c Config
	doc, err := config.Decode("fascia.yaml", []byte(section), &c)
	if err != nil {
		return nil, nil, err
	}
	plan, warnings, problems := Compile(c, doc, nil, []Bus{{Name: "can0", Database: db}}, nil, vehicle.NewState())
	if len(problems) > 0 {
		return nil, warnings, problems
	}
	return plan, append(doc.Warnings(), warnings...), nil
}

func mustCompile(t *testing.T, dbcText, section string) *Plan {
	t.Helper()
	plan, _, err := compileText(t, dbcText, section)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// frames are the data of the first n frames that a rule sends of the number 0.
func frames(t *testing.T, dbcText, section string, n int) [][]byte {
	t.Helper()
	r := mustCompile(t, dbcText, section).rules[0]
	var list [][]byte
	for range n {
		fr := r.message.build(r.signal, 0)
		r.message.mu.Lock()
		r.message.learn(&fr)
		r.message.mu.Unlock()
		list = append(list, bytes.Clone(fr.Bytes()))
	}
	return list
}

// e2eMessage has the header of the examples in AUTOSAR_PRS_E2EProtocol: the CRC
// in byte 0, the counter in the low half of byte 1, the nibble in its high half.
const e2eMessage = `BO_ 256 Safe: 8 GTW
 SG_ CRC : 0|8@1+ (1,0) [0|255] "" GTW
 SG_ Counter : 8|4@1+ (1,0) [0|15] "" GTW
 SG_ Value : 16|8@1+ (1,0) [0|255] "" GTW
`

// The frames are those of the protocol examples of AUTOSAR_PRS_E2EProtocol (Data
// ID 0x123, eight bytes, data 0), first and second counter. Public
// implementations of profiles 1 and 11, which agree in them, test the same.
func TestProfile1GivesTheFramesOfTheSpecification(t *testing.T) {
	for mode, want := range map[string][2]string{
		"both":   {"cc00000000000000", "9101000000000000"},
		"alt":    {"ce00000000000000", "0201000000000000"},
		"low":    {"ce00000000000000", "9301000000000000"},
		"nibble": {"2a10000000000000", "7711000000000000"},
	} {
		got := frames(t, e2eMessage, fmt.Sprintf(`
rules: [{signal: Safe.Value, roles: [driver], min: 0, max: 255}]
messages: [{message: Safe, counter: Counter, checksum: {signal: CRC, kind: e2e-p01, data_id: 0x123, data_id_mode: %s}}]`, mode), 16)
		for i, text := range want {
			if hex := fmt.Sprintf("%x", got[i]); hex != text {
				t.Errorf("%s, counter %d: got %s, want %s", mode, i, hex, text)
			}
		}
		if a, b := got[14][1]&0xF, got[15][1]&0xF; a != 14 || b != 0 {
			t.Errorf("%s: the counter goes from %d to %d, want 14 to 0", mode, a, b)
		}
	}
}

// The checksums are those of the example of profile 22 in AUTOSAR_PRS_E2EProtocol
// (Data IDs 1 to 16, data 0), which computes them as profile 2 does; the first
// frame sent has the counter 1.
func TestProfile2GivesTheFramesOfTheSpecification(t *testing.T) {
	got := frames(t, e2eMessage, `
rules: [{signal: Safe.Value, roles: [driver], min: 0, max: 255}]
messages: [{message: Safe, counter: Counter, checksum: {signal: CRC, kind: e2e-p02, data_id_list: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]}}]`, 16)
	for i, crc := range []byte{0x1b, 0x98, 0x31, 0x0d, 0x18, 0x9b, 0x65, 0x08, 0x1d, 0x9e, 0x37, 0x0b, 0x1e, 0x9d, 0xcd, 0x0e} {
		if want := []byte{crc, byte(i+1) & 0xF, 0, 0, 0, 0, 0, 0}; !bytes.Equal(got[i], want) {
			t.Errorf("frame %d: got %x, want %x", i, got[i], want)
		}
	}
}

// The check values of the CRC catalogue, over "123456789".
func TestCRCsHaveTheirCheckValues(t *testing.T) {
	for name, c := range map[string]struct {
		table *crc8
		want  byte
	}{"SAE J1850": {saeJ1850, 0x4B}, "8H2F": {crc8H2F, 0xDF}} {
		if got := c.table.update(0xFF, []byte("123456789")...) ^ 0xFF; got != c.want {
			t.Errorf("%s: got 0x%02X, want 0x%02X", name, got, c.want)
		}
	}
}

func TestPlainChecksums(t *testing.T) {
	const message = `BO_ 2566844926 Plain: 4 GTW
 SG_ Value : 0|8@1+ (1,7) [0|255] "" GTW
 SG_ Rest : 8|8@1+ (1,0) [0|255] "" GTW
 SG_ Sum : 31|8@0- (1,0) [0|255] "" GTW
 SG_ Small : 16|4@1+ (1,0) [0|15] "" GTW
 SG_ Count : 20|4@1+ (1,0) [0|15] "" GTW
`
	// The second frame of Rest = 0 has the counter 1; the identifier is 0x18FEF1FE.
	for checksum, want := range map[string]string{
		`{signal: Sum, kind: sum}`:                                    "00001010",
		`{signal: Sum, kind: sum, identifier: true}`:                  "00001015",
		`{signal: Sum, kind: sum, identifier: true, data_id: 0x1234}`: "0000105b",
		`{byte: 3, kind: xor}`:                                        "00001010",
		`{signal: Sum, kind: xor, identifier: true, data_id: 1}`:      "000010f8",
		`{signal: Small, kind: sum, data_id: 5}`:                      "00001500",
		`{byte: 3, kind: crc8-sae-j1850}`:                             fmt.Sprintf("000010%02x", saeJ1850.update(0xFF, 0, 0, 0x10)^0xFF),
		`{byte: 0, kind: crc8-sae-j1850, data_id: 0x1FF}`:             fmt.Sprintf("%02x001000", saeJ1850.update(0xFF, 1, 0xFF, 0, 0x10, 0)^0xFF),
	} {
		got := frames(t, message, `
rules: [{signal: Plain.Rest, roles: [driver], min: 0, max: 255}]
messages: [{message: Plain, counter: Count, checksum: `+checksum+`}]`, 2)
		if hex := fmt.Sprintf("%x", got[1]); hex != want {
			t.Errorf("%s: got %s, want %s", checksum, hex, want)
		}
	}
}

func TestWrongSectionsAreRefusedWithTheirPlace(t *testing.T) {
	const rule = `rules: [{signal: Safe.Value, roles: [driver], min: 0, max: 255}]` + "\n"
	for section, want := range map[string]string{
		`rules: [{signal: Safe.Valu, roles: [driver], min: 0, max: 1}]`:                                                                          `fascia.yaml:1:18: rules[0].signal: no DBC has the signal Safe.Valu; did you mean Safe.Value?`,
		`rules: [{signal: Value, bus: can1, roles: [driver], min: 0, max: 1}]`:                                                                   `no bus is named "can1"; did you mean can0?`,
		`rules: [{path: Vehicle.X, roles: [driver], min: 0, max: 1}]`:                                                                            `want signal`,
		`rules: [{signal: Safe.Value, roles: [driver]}]`:                                                                                         `want min and max, or values`,
		`rules: [{signal: Safe.Value, roles: [driver], min: 0, max: 256}]`:                                                                       `rules[0].max: the signal Safe.Value carries 0 to 255 only`,
		`rules: [{signal: Safe.Value, roles: [driver], values: {256: A}}]`:                                                                       `rules[0].values: 256: the signal Safe.Value carries 0 to 255`,
		`rules: [{signal: Safe.Value, roles: [driver], min: 2, max: 1}]`:                                                                         `rules[0].min: want at most max, 1`,
		`rules: [{signal: Safe.Value, roles: [driver], min: 2}]`:                                                                                 `want min and max, both or neither`,
		`rules: [{signal: Safe.Value, roles: [driver], min: 0, max: .inf}]`:                                                                      `rules[0].max: want a number`,
		`rules: [{signal: Safe.Value, roles: [driver], values: {1: A}, min: 0, max: 1}]`:                                                         `want no min, max, step or unit beside them`,
		`rules: [{signal: Safe.Value, roles: [], min: 0, max: 1}]`:                                                                               `rules[0].roles`,
		`rules: [{signal: Safe.Value, min: 0, max: 1}]`:                                                                                          `roles`,
		`rules: [{signal: Safe.Value, roles: [driver], min: 0, max: 1, rate: often}]`:                                                            `rules[0].rate: rate "often": want a number above 0`,
		`rules: [{signal: Safe.Value, roles: [driver], min: 0, max: 1, when: "Speed > 1"}]`:                                                      `rules[0].when: `,
		`rules: [{signal: Safe.Value, roles: [driver], min: 0, max: 1, answer: {}}]`:                                                             `rules[0].answer: want one of path, signal and when`,
		`rules: [{signal: Safe.Value, roles: [driver], min: 0, max: 1, answer: {signal: No}}]`:                                                   `rules[0].answer.signal: no DBC has the signal No`,
		`rules: [{signal: Safe.Value, roles: [driver], min: 0, max: 1, answer: {when: "1 == 1"}}]`:                                               `names no value`,
		`rules: [{signal: Safe.Value, roles: [driver], min: 0, max: 1, repeat: 100, every: 1s}]`:                                                 `want at most 9s`,
		`rules: [{signal: Safe.Value, roles: [driver], min: 0, max: 1, unit: {from: km/h, to: celsius}}]`:                                        `rules[0].unit: `,
		`rules: [{path: Vehicle.A, signal: Safe.Value, roles: [a], min: 0, max: 1}, {path: Vehicle.A, signal: CRC, roles: [b], min: 0, max: 1}]`: `want the same signal in all of them`,
		rule + `messages: [{message: Saf, counter: Counter}]`:                                                                                    `messages[0].message: no DBC has a message "Saf"; did you mean Safe?`,
		rule + `messages: [{message: Safe}]`:                                                                                                     `nothing is said of the message`,
		rule + `messages: [{message: Safe, counter: Conter}]`:                                                                                    `message Safe has no signal "Conter"; did you mean Counter?`,
		rule + `messages: [{message: Safe, secoc: true}, {message: Safe, secoc: true}]`:                                                          `is there twice`,
		rule + `messages: [{message: Safe, checksum: {signal: CRC, kind: e2e-p01}}]`:                                                             `want counter beside checksum`,
		rule + `messages: [{message: Safe, counter: Value, checksum: {signal: CRC, kind: e2e-p01}}]`:                                             `Safe.Value is not half a byte`,
		rule + `messages: [{message: Safe, checksum: {signal: Counter, kind: xor}}]`:                                                             `does not fill a byte`,
		rule + `messages: [{message: Safe, checksum: {byte: 8, kind: xor}}]`:                                                                     `message Safe has 8 bytes: want 0 to 7`,
		rule + `messages: [{message: Safe, checksum: {byte: 7, signal: CRC, kind: xor}}]`:                                                        `want signal or byte`,
		rule + `messages: [{message: Safe, counter: Counter, checksum: {signal: CRC, kind: e2e-p02, data_id_list: [1, 2]}}]`:                     `16 Data IDs, got 2`,
		rule + `messages: [{message: Safe, checksum: {signal: CRC, kind: crc32}}]`:                                                               `crc32`,
	} {
		_, _, err := compileText(t, e2eMessage, section)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "fascia.yaml:") {
			t.Errorf("%s:\ngot  %v\nwant %s", section, err, want)
		}
	}
}
