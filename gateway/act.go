package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/audit"
	"github.com/fascia-edge/fascia/auth"
	"github.com/fascia-edge/fascia/canbus/transmit"
	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/edgebroker"
)

// AuditConfig bounds the log of decisions in the folder audit of data_dir.
type AuditConfig struct {
	// From how many bytes on a new file is begun.
	FileSize config.Size `yaml:"file_size" default:"4MiB" min:"4KiB" max:"1GiB"`
	// Bytes that all its files may take; beyond it the oldest is removed, and an entry tells of it.
	Size config.Size `yaml:"size" default:"64MiB"`
}

// Validate implements config.Validator.
func (c *AuditConfig) Validate(r *config.Reporter) {
	if c.Size < 3*c.FileSize {
		r.At("size").Errorf("want at least three times file_size, %s", 3*c.FileSize)
	}
}

// AuditFolder is where the audit is, below the data directory.
const AuditFolder = "audit"

// openAudit opens the audit in dir. One that is damaged does not stop the
// gateway: nothing is sent to a bus while it can't be written.
func (g *Gateway) openAudit(dir string, c AuditConfig, trust clock.Trust) {
	l, err := audit.Open(dir, audit.Options{FileSize: int64(c.FileSize), Size: int64(c.Size), Clock: clock.New(trust)})
	if err != nil {
		g.log.Error("nothing is sent to the buses: the audit can't be opened", "error", err)
		return
	}
	g.audit.Store(l)
}

func (g *Gateway) closeAudit() {
	if l := g.audit.Swap(nil); l != nil {
		_ = l.Close() // every entry in it was synced
	}
}

var errNoAudit = errors.New("the audit is not open; the log says why")

// record appends to the audit.
func (g *Gateway) record(e audit.Entry) (audit.Entry, error) {
	l := g.audit.Load()
	if l == nil {
		return audit.Entry{}, errNoAudit
	}
	return l.Append(e)
}

// act takes a request that a client published on act/.
func (g *Gateway) act(m edgebroker.Message) {
	target := strings.TrimPrefix(m.Topic, transmit.TopicPrefix)
	if strings.HasSuffix(target, transmit.ResultSuffix) || m.Origin == (edgebroker.Origin{}) && len(m.Payload) == 0 {
		return // what the gateway itself has said, or cleared
	}
	request := transmit.Request{
		Target: target, Payload: m.Payload, Stored: m.Retain, Expiry: m.Expiry,
		Origin: audit.Origin{
			Client: m.Origin.Client, Identity: m.Origin.Identity, Role: m.Origin.Role,
			Zone: m.Origin.Zone, Listener: m.Origin.Listener, Link: m.Origin.Link,
		},
	}
	g.buses.Gate().Request(request, func(a transmit.Answer) { g.answer(&m, a) })
}

// answer tells who asked, with the correlation data of the request. What cannot
// be published the broker counts and logs.
func (g *Gateway) answer(m *edgebroker.Message, a transmit.Answer) {
	payload, err := json.Marshal(a)
	if err != nil {
		return // not reached: strings always marshal
	}
	topic := m.Topic + transmit.ResultSuffix
	if g.mayHearOn(m) {
		topic = m.ResponseTopic
	}
	_ = g.broker.Publish(edgebroker.Message{
		Topic: topic, Payload: payload, QoS: 1, ContentType: "application/json", CorrelationData: m.CorrelationData})
	if m.Retain {
		// The next start is not to meet it again.
		_ = g.broker.Publish(edgebroker.Message{Topic: m.Topic, Retain: true})
	}
}

// mayHearOn reports whether the answer may go to the topic that the request
// names. The gateway may publish anywhere: it lends that to nobody, and answers
// only where the requester could have published itself, and never where a
// payload is an order or a value.
func (g *Gateway) mayHearOn(m *edgebroker.Message) bool {
	if m.ResponseTopic == "" {
		return false
	}
	for _, prefix := range []string{"vss/", transmit.TopicPrefix, "cmd/", "$"} {
		if strings.HasPrefix(m.ResponseTopic, prefix) {
			return false
		}
	}
	id := &auth.Identity{Name: m.Origin.Identity, Role: m.Origin.Role, Zone: m.Origin.Zone, Client: m.Origin.Client, Listener: m.Origin.Listener}
	return g.policy.Load().CanPublish(id, m.ResponseTopic).Allow
}

// longestAct is how long a request on the control socket waits for its answer:
// longer than any rule may take.
const longestAct = transmit.LongestRequest + 500*time.Millisecond

// handleAct adds what the control socket does with actuators:
//
//	GET  /v1/act                                      the rules, and what became of the last request of each
//	POST /v1/act?path=PATH&value=JSON[&dry_run=true]  asks as role operator, and waits for the answer
func (g *Gateway) handleAct(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/act", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, g.buses.Gate().Rules()) })
	mux.HandleFunc("POST /v1/act", func(w http.ResponseWriter, r *http.Request) {
		identity := "uid:?"
		if uid, ok := r.Context().Value(peerKey{}).(int); ok {
			identity = "uid:" + strconv.Itoa(uid)
		}
		request := transmit.Request{
			Target:  strings.ReplaceAll(r.FormValue("path"), ".", "/"),
			Payload: []byte(r.FormValue("value")),
			Origin:  audit.Origin{Identity: identity, Role: transmit.RoleOperator, Listener: "control"},
		}
		ask := g.buses.Gate().Request
		if r.FormValue("dry_run") == "true" {
			ask = g.buses.Gate().Try
		}
		answers := make(chan transmit.Answer, 1)
		ask(request, func(a transmit.Answer) { answers <- a })
		select {
		case a := <-answers:
			writeJSON(w, a)
		case <-r.Context().Done():
		case <-time.After(longestAct):
			http.Error(w, "the gate is too busy to answer; the request was refused", http.StatusServiceUnavailable)
		}
	})
}

// AuditStatus tells where the audit is and how far it goes.
type AuditStatus struct {
	Folder string     `json:"folder"`
	Head   audit.Head `json:"head"`
	Error  string     `json:"error,omitempty"`
}

func (g *Gateway) auditStatus(dir string) AuditStatus {
	s := AuditStatus{Folder: dir}
	if l := g.audit.Load(); l != nil {
		s.Head = l.Head()
	} else {
		s.Error = errNoAudit.Error()
	}
	return s
}

func (m metrics) act(rules []transmit.RuleStatus, lost uint64) {
	for _, r := range rules {
		for _, status := range []transmit.Status{transmit.Done, transmit.Refused, transmit.TimedOut} {
			m.counter("fascia_act_requests_total", "Requests that met a rule, by what became of them.", r.Counts[status], "rule", r.Name, "outcome", string(status))
		}
	}
	m.counter("fascia_act_unanswered_total", "Requests that were refused without an answer because they came too fast.", lost)
}
