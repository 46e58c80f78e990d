package gateway

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/bridge"
	"github.com/fascia-edge/fascia/canbus"
	"github.com/fascia-edge/fascia/canbus/health"
	"github.com/fascia-edge/fascia/canbus/record"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/edgebroker/listen"
	"github.com/fascia-edge/fascia/streammgr"
	"github.com/fascia-edge/fascia/vehicle"
)

// Status is what GET /v1/status on the control socket answers.
type Status struct {
	Version       string              `json:"version"`
	PID           int                 `json:"pid"`
	Started       time.Time           `json:"started"`
	UptimeSeconds float64             `json:"uptime_s"`
	Ready         bool                `json:"ready"`
	MemoryBytes   int64               `json:"memory_bytes"` // resident
	Vehicle       VehicleStatus       `json:"vehicle"`
	Config        ConfigStatus        `json:"config"`
	Listeners     []listen.Info       `json:"listeners"`
	Clients       ClientsStatus       `json:"clients"`
	Messages      MessagesStatus      `json:"messages"`
	Store         StoreStatus         `json:"store"`
	Values        int                 `json:"values"` // paths that ever had one
	Buses         []canbus.BusStatus  `json:"buses"`
	Recordings    []record.Status     `json:"recordings"`
	Links         []bridge.LinkStatus `json:"links"`
	Streams       *streammgr.Status   `json:"streams,omitempty"` // nil without the section
	Audit         AuditStatus         `json:"audit"`
	Health        health.Status       `json:"health"` // of messages and signals
}

// VehicleStatus names the vehicle.
type VehicleStatus struct {
	VIN   string `json:"vin,omitempty"`
	Thing string `json:"thing,omitempty"`
}

// ConfigStatus tells which configuration is in use.
type ConfigStatus struct {
	File       string       `json:"file"`
	Warnings   []string     `json:"warnings"`
	LastReload reloadResult `json:"last_reload,omitzero"`
}

// ClientsStatus counts MQTT clients.
type ClientsStatus struct {
	Connected     int `json:"connected"`
	Sessions      int `json:"sessions"` // connected or kept
	Subscriptions int `json:"subscriptions"`
}

// MessagesStatus counts MQTT messages since the start.
type MessagesStatus struct {
	In      uint64 `json:"in"`
	Out     uint64 `json:"out"`
	Dropped uint64 `json:"dropped"` // on the way to a receiver
	Refused uint64 `json:"refused"` // not authorised, or no room
}

// StoreStatus tells how what must be kept is kept.
type StoreStatus struct {
	Bytes     int64     `json:"bytes"`      // on disk
	Size      int64     `json:"size"`       // that they may be
	FreeBytes int64     `json:"free_bytes"` // of the file system, when last looked at
	Sync      string    `json:"sync"`       // durability.sync
	Interval  string    `json:"interval"`   // durability.interval
	Refuses   string    `json:"refuses,omitempty"`
	Since     time.Time `json:"refuses_since,omitzero"`
	Corrupt   int64     `json:"corrupt_records"`
	Lost      int64     `json:"lost_messages"`
}

// storeStatus is empty before Run.
func (g *Gateway) storeStatus(c *Config) StoreStatus {
	status := StoreStatus{
		Size:     int64(c.Store.Size),
		Sync:     c.Broker.Durability.Sync,
		Interval: time.Duration(c.Broker.Durability.Interval).String(),
	}
	st := g.store.Load()
	if st == nil {
		return status
	}
	s := st.Stats()
	status.Bytes, status.FreeBytes = s.Bytes, s.Free
	status.Refuses, status.Since = s.Refuses, s.Since
	status.Corrupt, status.Lost = s.Corrupt, s.Lost
	return status
}

// Status describes the running gateway; safe for concurrent use.
func (g *Gateway) Status() Status {
	stats := g.broker.Stats()
	g.mu.Lock()
	c, warnings, reload := g.config, g.warnings, g.lastReload
	g.mu.Unlock()
	values := 0
	g.state.Each(func(string, vehicle.Reading) { values++ })
	return Status{
		Version:       g.options.Version,
		PID:           os.Getpid(),
		Started:       g.started,
		UptimeSeconds: time.Since(g.started).Seconds(),
		Ready:         g.Ready(),
		MemoryBytes:   residentBytes(),
		Vehicle:       VehicleStatus{c.Vehicle.VIN, c.Vehicle.Thing},
		Config:        ConfigStatus{g.file, problemTexts(warnings), reload},
		Listeners:     g.broker.Listeners(),
		Clients:       ClientsStatus{stats.Clients, stats.Sessions, stats.Subscriptions},
		Messages: MessagesStatus{
			In:      stats.MessagesReceived,
			Out:     stats.MessagesSent,
			Dropped: stats.Dropped(),
			Refused: stats.PublishesRefused + stats.Rejected,
		},
		Store:  g.storeStatus(c),
		Values: values,
		Buses:  g.buses.Status(),
		Audit:  g.auditStatus(filepath.Join(c.DataDir, AuditFolder)),
		Health: g.buses.Health(),

		Recordings: g.buses.Recordings(),
		Links:      g.linkStatus(),
		Streams:    g.streamStatus(),
	}
}

func (g *Gateway) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, g.Status()) })
	g.handleSessions(mux)
	g.handleAct(mux)
	g.handleLinks(mux)
	g.handleStreams(mux)
	return mux
}

func problemTexts(problems []config.Problem) []string {
	texts := make([]string, len(problems))
	for i, p := range problems {
		texts[i] = p.Error()
	}
	return texts
}

// residentBytes is the memory that the process has in RAM, 0 if the kernel does
// not say.
func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm") // pages: size resident …
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
