package protocol

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Bounds that the SDKs state; they check them themselves, and this program for who
// uses none.
const (
	maxName         = 255
	minMaxSize      = 1024
	minSegment      = 1024
	maxSegment      = math.MaxInt32
	minMillis       = 60_000
	maxMillis       = 9_223_372_036_854
	maxPriority     = 10
	maxMsgIDPrefix  = 32
	minMultipart    = 5 << 20
	maxBatch        = 500
	maxBatchChannel = 100 // of IoT Analytics
	maxBatchAsset   = 10  // of IoT SiteWise
)

// namePattern is as the SDKs have it.
const namePattern = `^[\w ,.\-_]*$`

var names = regexp.MustCompile(namePattern)

// findings are what is wrong with a request, in the original's words.
type findings []string

func (f findings) err() error {
	if len(f) == 0 {
		return nil
	}
	return invalid(strings.Join(f, " "))
}

// add words a finding: "maxSize: must be at least 1024."
func (f *findings) add(path, format string, args ...any) {
	*f = append(*f, path+fmt.Sprintf(format, args...))
}

// name checks the name of a stream or an export.
func (f *findings) name(path, name string) {
	switch {
	case name == "":
		f.add(path, " is required.")
	case utf8.RuneCountInString(name) > maxName:
		f.add(path, ": must have at most %d characters.", maxName)
	case !names.MatchString(name):
		f.add(path, ": must match regular expression %q.", namePattern)
	}
}

// required checks what may be any text but none.
func (f *findings) required(path, text string) {
	if text == "" {
		f.add(path, " is required.")
	}
}

// within checks a number that may be absent.
func (f *findings) within(path string, n *Integer, least, most Integer) {
	switch {
	case n == nil:
	case *n < least:
		f.add(path, ": must be at least %d.", least)
	case *n > most:
		f.add(path, ": must be at most %d.", most)
	}
}

// definition checks a stream's definition.
func (f *findings) definition(d *Definition) {
	f.name("name", d.Name)
	f.within("maxSize", d.MaxSize, minMaxSize, math.MaxInt64)
	f.within("streamSegmentSize", d.StreamSegmentSize, minSegment, maxSegment)
	f.within("timeToLiveMillis", d.TimeToLiveMillis, minMillis, maxMillis)
	if d.StrategyOnFull == nil {
		f.add("strategyOnFull", " is required.")
	}
	f.within("strategyOnFull", d.StrategyOnFull, RejectNewData, OverwriteOldestData)
	f.within("persistence", d.Persistence, InFile, InMemory)

	seen := map[string]bool{}
	d.exports(func(path string, e *Export) {
		path = "exportDefinition." + path
		f.name(path+".identifier", e.Identifier)
		if e.Identifier != "" && seen[e.Identifier] {
			f.add(path, ".identifier: %q is another export's too.", e.Identifier)
		}
		seen[e.Identifier] = true
		f.within(path+".batchIntervalMillis", e.BatchIntervalMillis, minMillis, maxMillis)
		f.within(path+".priority", e.Priority, 1, maxPriority)
		f.within(path+".startSequenceNumber", e.StartSequenceNumber, 0, math.MaxInt64)
	})
	if d.ExportDefinition != nil {
		f.exports(d.ExportDefinition)
	}
}

// exports checks what the kinds of exports have of their own.
func (f *findings) exports(x *ExportDefinition) {
	for i, e := range x.HTTP {
		path := "exportDefinition." + index("http", i)
		f.required(path+".uri", e.URI)
		f.within(path+".batchSize", e.BatchSize, 1, maxBatch)
		f.within(path+".exportFormat", e.ExportFormat, RawNotBatched, JSONBatched)
	}
	for i, e := range x.IoTAnalytics {
		path := "exportDefinition." + index("iotAnalytics", i)
		f.required(path+".iotChannel", e.IoTChannel)
		if len(e.IoTMsgIDPrefix) > maxMsgIDPrefix {
			f.add(path, ".iotMsgIdPrefix: must have at most %d characters.", maxMsgIDPrefix)
		}
		f.within(path+".batchSize", e.BatchSize, 1, maxBatchChannel)
	}
	for i, e := range x.Kinesis {
		path := "exportDefinition." + index("kinesis", i)
		f.required(path+".kinesisStreamName", e.KinesisStreamName)
		f.within(path+".batchSize", e.BatchSize, 1, maxBatch)
	}
	for i, e := range x.IoTSiteWise {
		path := "exportDefinition." + index("IotSitewise", i)
		f.within(path+".batchSize", e.BatchSize, 1, maxBatchAsset)
	}
	for i, e := range x.S3TaskExecutor {
		path := "exportDefinition." + index("s3TaskExecutor", i)
		f.within(path+".sizeThresholdForMultipartUploadBytes", e.SizeThresholdForMultipartUploadBytes, minMultipart, math.MaxInt64)
		if s := e.StatusConfig; s != nil {
			f.within(path+".statusConfig.statusLevel", s.StatusLevel, 0, 4)
			if s.StatusStreamName != "" {
				f.name(path+".statusConfig.statusStreamName", s.StatusStreamName)
			}
		}
	}
}

// unsupported are the identifiers of exports that this program does not serve, with
// what serves them.
func (d *Definition) unsupported() map[string]string {
	found := map[string]string{}
	if x := d.ExportDefinition; x != nil {
		for _, e := range x.IoTAnalytics {
			found[e.Identifier] = "AWS IoT Analytics"
		}
		for _, e := range x.IoTSiteWise {
			found[e.Identifier] = "AWS IoT SiteWise"
		}
	}
	return found
}

func index(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }
