package health

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/fascia-edge/fascia/canbus/canlog"
	"github.com/fascia-edge/fascia/canbus/dbc"
)

const sharedData = "../../../shared/data/can"

// driveConfig gives the cycles and counters that the drive's DBC does not state.
const driveConfig = `messages: [
  {message: TCU2, cycle: 10ms, counter: CF_Tcu_Alive}, {message: EMS5, cycle: 10ms, counter: AliveCounter},
  {message: EMS6, cycle: 10ms, counter: AliveCounter}, {message: TCS1, cycle: 10ms, counter: AliveCounter_TCS1, counter_max: 14},
  {message: FATC, cycle: 10ms, counter: CF_Fatc_MsgCnt}, {message: TCU3, cycle: 10ms, counter: CF_Tcu_Alive3},
  {message: EMS9, cycle: 20ms, counter: CF_Ems_AliveCounterEMS9}, {message: CLU1, cycle: 20ms, counter: CF_Clu_AliveCounter},
  {message: CLU2, cycle: 100ms, counter: CF_Clu_AliveCnt2}, {message: TCU4, cycle: 100ms, counter: CF_Tcu_Alive4},
  {message: TCU1, cycle: 10ms, counter: CF_Tcu_Alive}, {message: ESP2, cycle: 10ms, counter: ESP2_AliveCounter_LSB},
  {message: SAS1, cycle: 10ms}, {message: MDPS1, cycle: 10ms}]`

const driveMapping = `signals:
  - {signal: TCU2.VS_TCU, path: Vehicle.Speed, type: float, timeout: 500ms}
  - {signal: EMS1.N, path: Vehicle.Engine}
  - {signal: TCU2.ETL_TCU, path: Vehicle.TorqueLimit}
  - {signal: SAS1.SAS_Angle, path: Vehicle.Angle}
`

// What a real drive shows: a car whose messages all come and count in their ways,
// but for those of a DBC that is made for another model.
func TestHealthOfARecordedDrive(t *testing.T) {
	if _, err := os.Stat(sharedData); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the shared data (../shared/data) is not beside the checkout")
	}
	db, _, err := dbc.Load(filepath.Join(sharedData, "hyundai_i30_2014.dbc"))
	if err != nil {
		t.Fatal(err)
	}
	log, err := canlog.Open(filepath.Join(sharedData, "genesis-drive.candump"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c := newCarOf(t, db, driveConfig, driveMapping)
	var first int64
	for log.Scan() {
		r := log.Record()
		if first == 0 {
			first = r.Stamp - c.now
		}
		for c.now = r.Stamp - first; c.now >= c.monitor.looked+look; {
			c.monitor.Look(morning, c.monitor.looked+look)
		}
		if db.Message(r.Frame.ID, false) != nil {
			c.frame(r.Frame.ID, r.Frame.Bytes()...)
		}
	}
	if err := log.Err(); err != nil {
		t.Fatal(err)
	}
	c.look()
	for _, name := range []string{"TCU2", "EMS5", "EMS6", "TCS1", "FATC", "TCU3", "EMS9", "CLU1", "CLU2", "TCU4"} {
		c.want("health/message/can0/"+name, OK)
		if got := c.states("health/message/can0/" + name); got != "ok" {
			t.Errorf("%s: %s, want ok all the time", name, got)
		}
	}
	for name, state := range map[string]State{
		"message/can0/TCU1":          BadCounter, // in this car it stands at 0
		"message/can0/ESP2":          BadCounter,
		"message/can0/SAS1":          Missing, // its frames have 5 bytes, the DBC says 8
		"message/can0/MDPS1":         Missing,
		"signal/Vehicle/Speed":       OK,
		"signal/Vehicle/Engine":      OK,
		"signal/Vehicle/TorqueLimit": OutOfRange, // 510, where the DBC's range ends at 508
		"signal/Vehicle/Angle":       Missing,
	} {
		c.want("health/"+name, state)
	}
	if n := c.monitor.Status().Buses[0].Miscounts; n != 7283 {
		t.Errorf("%d miscounts, want those of TCU1 and ESP2 alone: all but the first of each", n)
	}
	if s := c.says("health/message/can0/TCS1"); s.Rate == nil || *s.Rate < 99 || *s.Rate > 102 {
		t.Errorf("TCS1: %+v, want about 101 frames a second", s)
	}
}
