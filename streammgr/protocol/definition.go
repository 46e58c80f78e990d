package protocol

import (
	"time"

	"github.com/fascia-edge/fascia/streammgr/log"
)

// What a client may ask of a full stream.
const (
	RejectNewData       Integer = 0
	OverwriteOldestData Integer = 1
)

// Where a client may want a stream kept.
const (
	InFile   Integer = 0
	InMemory Integer = 1
)

// Forms of what an HTTP export posts.
const (
	RawNotBatched Integer = 0 // a message a request, its payload as the body
	JSONBatched   Integer = 1 // a list of Message objects
)

// Definition is a stream as clients define it. What is absent is nil; complete
// definitions, which are all that a Server hands to its Streams, have a name, sizes,
// StrategyOnFull and Persistence. The JSON form is that of the protocol too.
type Definition struct {
	// Name of 1 to 255 letters, digits, underscores, spaces, commas, full stops and hyphens.
	Name string `json:"name"`
	// MaxSize in bytes that the stream may hold, at least 1,024; 256 MiB.
	MaxSize *Integer `json:"maxSize,omitempty"`
	// StreamSegmentSize in bytes that are removed at a time, 1,024 to 2^31-1; 16 MiB.
	StreamSegmentSize *Integer `json:"streamSegmentSize,omitempty"`
	// TimeToLiveMillis that messages are kept at most, at least 60,000; for ever.
	TimeToLiveMillis *Integer `json:"timeToLiveMillis,omitempty"`
	// StrategyOnFull is RejectNewData or OverwriteOldestData.
	StrategyOnFull *Integer `json:"strategyOnFull,omitempty"`
	// Persistence is InFile or InMemory; InFile.
	Persistence *Integer `json:"persistence,omitempty"`
	// FlushOnWrite has each message fsynced before it is acknowledged.
	FlushOnWrite *bool `json:"flushOnWrite,omitempty"`
	// ExportDefinition says where the stream goes; nowhere.
	ExportDefinition *ExportDefinition `json:"exportDefinition,omitempty"`
}

// ExportDefinition is where a stream goes. Identifiers are unique in all its lists.
type ExportDefinition struct {
	HTTP           []HTTPExport           `json:"http,omitempty"`
	IoTAnalytics   []IoTAnalyticsExport   `json:"iotAnalytics,omitempty"`
	Kinesis        []KinesisExport        `json:"kinesis,omitempty"`
	IoTSiteWise    []IoTSiteWiseExport    `json:"IotSitewise,omitempty"` // written thus
	S3TaskExecutor []S3TaskExecutorExport `json:"s3TaskExecutor,omitempty"`
}

// Export is what most kinds of exports have in common.
type Export struct {
	// Identifier names the export within its stream, like a stream's name.
	Identifier string `json:"identifier"`
	// BatchSize is of how many messages a batch has at most.
	BatchSize *Integer `json:"batchSize,omitempty"`
	// BatchIntervalMillis that the oldest message waits for a full batch, at least
	// 60,000; not at all.
	BatchIntervalMillis *Integer `json:"batchIntervalMillis,omitempty"`
	// Priority from 1, the highest, to 10; without it the lowest of all.
	Priority *Integer `json:"priority,omitempty"`
	// StartSequenceNumber is where a new export begins; at the oldest message.
	StartSequenceNumber *Integer `json:"startSequenceNumber,omitempty"`
	// Disabled pauses the export.
	Disabled *bool `json:"disabled,omitempty"`
}

// HTTPExport posts to an address; 500 messages a batch, and no more.
type HTTPExport struct {
	Export
	URI string `json:"uri"`
	// ExportFormat is RawNotBatched or JSONBatched; JSONBatched.
	ExportFormat *Integer `json:"exportFormat,omitempty"`
}

// KinesisExport puts into a Kinesis data stream; 500 messages a batch, and no more.
type KinesisExport struct {
	Export
	KinesisStreamName string `json:"kinesisStreamName"`
}

// IoTAnalyticsExport is for AWS IoT Analytics, which this program does not serve.
type IoTAnalyticsExport struct {
	Export
	IoTChannel     string `json:"iotChannel"`
	IoTMsgIDPrefix string `json:"iotMsgIdPrefix,omitempty"`
}

// IoTSiteWiseExport is for AWS IoT SiteWise, which this program does not serve.
type IoTSiteWiseExport struct {
	Export
}

// S3TaskExecutorExport uploads the files that the stream's messages name.
type S3TaskExecutorExport struct {
	Identifier string `json:"identifier"`
	// SizeThresholdForMultipartUploadBytes is at least 5 MiB, the default.
	SizeThresholdForMultipartUploadBytes *Integer `json:"sizeThresholdForMultipartUploadBytes,omitempty"`
	// Priority and Disabled are as Export has them.
	Priority *Integer `json:"priority,omitempty"`
	Disabled *bool    `json:"disabled,omitempty"`
	// StatusConfig says what is told of the uploads, and where; nothing.
	StatusConfig *StatusConfig `json:"statusConfig,omitempty"`
}

// StatusConfig says what is told of uploads, and where.
type StatusConfig struct {
	// StatusLevel is 0 ERROR, 1 WARN, 2 INFO, 3 DEBUG or 4 TRACE: what is less
	// important is left out; INFO.
	StatusLevel *Integer `json:"statusLevel,omitempty"`
	// StatusStreamName is the stream that status messages are appended to; it has to
	// be there.
	StatusStreamName string `json:"statusStreamName,omitempty"`
}

// ExportStatus is how an export is.
type ExportStatus struct {
	ExportConfigIdentifier string `json:"exportConfigIdentifier"`
	// LastExportedSequenceNumber is -1 if nothing was exported yet.
	LastExportedSequenceNumber Integer `json:"lastExportedSequenceNumber"`
	// LastExportTime of the last attempt, in milliseconds since 1970.
	LastExportTime          *Integer `json:"lastExportTime,omitempty"`
	ErrorMessage            string   `json:"errorMessage,omitempty"` // of the last attempt, if it failed
	ExportedBytesFromStream Integer  `json:"exportedBytesFromStream"`
	ExportedMessagesCount   Integer  `json:"exportedMessagesCount"`
}

const defaultMaxSize, defaultSegmentSize Integer = log.DefaultMaxSize, log.DefaultSegmentSize

// complete fills in what is not said.
func (d *Definition) complete() {
	give := func(to **Integer, value Integer) {
		if *to == nil {
			*to = &value
		}
	}
	give(&d.MaxSize, defaultMaxSize)
	give(&d.StreamSegmentSize, defaultSegmentSize)
	give(&d.Persistence, InFile)
}

// Stream is the stream that a complete definition defines, without its exports.
func (d *Definition) Stream() log.Definition {
	l := log.Definition{
		Name:        d.Name,
		MaxSize:     d.MaxSize.Or(log.DefaultMaxSize),
		SegmentSize: d.StreamSegmentSize.Or(log.DefaultSegmentSize),
		Age:         time.Duration(d.TimeToLiveMillis.Or(0)) * time.Millisecond,
		Memory:      d.Persistence.Or(0) == int64(InMemory),
		WhenFull:    log.Reject,
		Flush:       d.FlushOnWrite != nil && *d.FlushOnWrite,
	}
	if d.StrategyOnFull.Or(0) == int64(OverwriteOldestData) {
		l.WhenFull = log.DropOldest
	}
	return l
}

// Define is the definition of a stream that no client defined, without exports.
func Define(l log.Definition) Definition {
	number := func(n int64) *Integer { i := Integer(n); return &i }
	d := Definition{
		Name:              l.Name,
		MaxSize:           number(l.MaxSize),
		StreamSegmentSize: number(l.SegmentSize),
		StrategyOnFull:    number(int64(RejectNewData)),
		Persistence:       number(int64(InFile)),
		FlushOnWrite:      &l.Flush,
	}
	if l.Age > 0 {
		d.TimeToLiveMillis = number(l.Age.Milliseconds())
	}
	if l.WhenFull == log.DropOldest {
		d.StrategyOnFull = number(int64(OverwriteOldestData))
	}
	if l.Memory {
		d.Persistence = number(int64(InMemory))
	}
	return d
}

// exports calls fn for each export, with its place in the definition.
func (d *Definition) exports(fn func(path string, e *Export)) {
	x := d.ExportDefinition
	if x == nil {
		return
	}
	for i := range x.HTTP {
		fn(index("http", i), &x.HTTP[i].Export)
	}
	for i := range x.IoTAnalytics {
		fn(index("iotAnalytics", i), &x.IoTAnalytics[i].Export)
	}
	for i := range x.Kinesis {
		fn(index("kinesis", i), &x.Kinesis[i].Export)
	}
	for i := range x.IoTSiteWise {
		fn(index("IotSitewise", i), &x.IoTSiteWise[i].Export)
	}
	for i := range x.S3TaskExecutor {
		fn(index("s3TaskExecutor", i), &Export{Identifier: x.S3TaskExecutor[i].Identifier,
			Priority: x.S3TaskExecutor[i].Priority, Disabled: x.S3TaskExecutor[i].Disabled})
	}
}
