package batch_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/canlog"
	"github.com/fascia-edge/fascia/canbus/dbc"
	"github.com/fascia-edge/fascia/canbus/mapping"
	"github.com/fascia-edge/fascia/vehicle"
)

// drive is a recorded drive of 36 s; it belongs to others and lies beside the
// checkout.
const drive = "../../../shared/data/can/"

// published is a message as the gateway publishes it.
type published struct {
	topic   string
	at      time.Time
	payload []byte
}

// loadDrive is what the gateway publishes of the drive by the mapping in
// testdata, with the log's own stamps; interval is added to each path as its
// min_interval.
func loadDrive(tb testing.TB, interval time.Duration) []published {
	tb.Helper()
	if _, err := os.Stat(drive); errors.Is(err, fs.ErrNotExist) {
		tb.Skip("the shared data (../shared/data) is not beside the checkout")
	}
	db, _, err := dbc.Load(drive + "hyundai_i30_2014.dbc")
	if err != nil {
		tb.Fatal(err)
	}
	file, err := mapping.Load("testdata/drive.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	plan, _, err := mapping.Compile([]*mapping.File{file}, []mapping.BusDatabase{{Bus: "can0", Database: db}}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	log, err := canlog.Open(drive + "genesis-drive.candump")
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()

	var (
		all     []published
		values  []dbc.Value
		filters = map[*mapping.Rule]*mapping.Filter{}
		seen    []*mapping.Rule // of filters, so that what is due comes in one order
		bus     = plan.Bus("can0")
	)
	publish := func(rule *mapping.Rule, v vehicle.Value, nanos int64) {
		stamp := time.Unix(0, nanos).UTC()
		payload := v.AppendJSON([]byte(`{"value":`))
		payload = stamp.AppendFormat(append(payload, `,"ts":"`...), "2006-01-02T15:04:05.000Z")
		payload = append(payload, '"')
		if !v.IsValid() {
			payload = append(payload, `,"quality":"invalid"`...)
		}
		all = append(all, published{"vss/" + strings.ReplaceAll(rule.Path, ".", "/"), stamp, append(payload, '}')})
	}
	for log.Scan() {
		record := log.Record()
		for _, rule := range seen {
			if v, at, emit := filters[rule].Due(record.Stamp); emit {
				publish(rule, v, at)
			}
		}
		m := db.Message(record.Frame.ID, false)
		if m == nil {
			continue
		}
		if values, err = m.Decode(&record.Frame, values[:0]); err != nil {
			continue
		}
		rules := bus.Message(m)
		if rules == nil {
			continue
		}
		for _, v := range values {
			for _, rule := range rules.Rules(v.Signal) {
				filter := filters[rule]
				if filter == nil {
					limits := rule.Limits
					limits.MinInterval = int64(interval)
					fresh := mapping.NewFilter(limits)
					filter = &fresh
					filters[rule] = filter
					seen = append(seen, rule)
				}
				value := rule.Convert(v)
				if emit, _ := filter.Pass(record.Stamp, value); emit {
					publish(rule, value, record.Stamp)
				}
			}
		}
	}
	if err := log.Err(); err != nil {
		tb.Fatal(err)
	}
	return all
}

// every cuts what was published into what comes within a period.
func every(all []published, period time.Duration) [][]published {
	var parts [][]published
	begun := time.Time{}
	for _, p := range all {
		if len(parts) == 0 || p.at.Sub(begun) >= period {
			parts = append(parts, nil)
			begun = p.at
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], p)
	}
	return parts
}
