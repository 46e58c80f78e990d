package s3

import (
	"context"
	"encoding/json"
	"time"

	"github.com/fascia-edge/fascia/streammgr/log"
)

// StatusMessage is what is told of a task, in the JSON that the Stream Manager's clients
// read.
type StatusMessage struct {
	EventType        int           `json:"eventType"` // 0, a task for S3
	StatusLevel      StatusLevel   `json:"statusLevel"`
	Status           Status        `json:"status"`
	StatusContext    StatusContext `json:"statusContext"`
	Message          string        `json:"message,omitempty"`
	TimestampEpochMs int64         `json:"timestampEpochMs"`
}

// StatusContext says which task it is.
type StatusContext struct {
	S3ExportTaskDefinition *Task  `json:"s3ExportTaskDefinition,omitempty"` // missing if the message is none
	ExportIdentifier       string `json:"exportIdentifier"`
	StreamName             string `json:"streamName"`
	SequenceNumber         uint64 `json:"sequenceNumber"`
}

// StatusLevel is how much is told: what is above is left out.
type StatusLevel int

// The levels.
const (
	LevelError StatusLevel = iota
	LevelWarn
	LevelInfo
	LevelDebug
	LevelTrace
)

// Status is how a task is.
type Status int

// What is told of tasks. The end of one is StatusSuccess or StatusFailure.
const (
	StatusSuccess    Status = 0
	StatusFailure    Status = 1
	StatusInProgress Status = 2
	StatusWarning    Status = 3 // it goes on all the same
)

var levels = map[Status]StatusLevel{StatusSuccess: LevelInfo, StatusFailure: LevelError, StatusInProgress: LevelInfo, StatusWarning: LevelWarn}

// report tells of a task, if somebody wants to hear it. That it can't be told is only
// logged.
func (t *Tasks) report(ctx context.Context, m *log.Message, task *Task, status Status, text string) {
	level := levels[status]
	if t.config.StatusStream == "" || level > t.config.level() {
		return
	}
	payload, err := json.Marshal(StatusMessage{
		StatusLevel: level, Status: status, Message: text, TimestampEpochMs: time.Now().UnixMilli(),
		StatusContext: StatusContext{S3ExportTaskDefinition: task, ExportIdentifier: t.env.Identifier, StreamName: t.env.Stream.Name(), SequenceNumber: m.Seq},
	})
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, reportWithin)
		defer cancel()
		_, err = t.env.Append(ctx, t.config.StatusStream, payload)
	}
	if err != nil {
		t.log.Warn("the status of an upload can't be told", "stream_of_status", t.config.StatusStream, "seq", m.Seq, "error", err)
	}
}

// reportWithin is how long a status may take to get into its stream.
const reportWithin = 5 * time.Second
