package streammgr

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/export/awscreds"
	"github.com/fascia-edge/fascia/streammgr/export/kinesis"
	"github.com/fascia-edge/fascia/streammgr/export/s3"
	"github.com/fascia-edge/fascia/streammgr/log"
	"github.com/fascia-edge/fascia/streammgr/protocol"
)

// ClientExports is what exports of clients can't say themselves.
type ClientExports struct {
	// AWS region of their Kinesis streams and buckets; without it that of the usual chain.
	Region string `yaml:"region"`
	// Address of Kinesis in place of the region's.
	KinesisEndpoint string `yaml:"kinesis_endpoint"`
	// Address of S3 in place of the region's.
	S3Endpoint string `yaml:"s3_endpoint"`
	// Whether buckets stand in the path of S3's addresses and not in the host's name, as most other stores want it.
	S3PathStyle bool `yaml:"s3_path_style" default:"false"`
	// Folders whose files their S3 tasks may upload, those in folders below them too; without any no file may.
	UploadFolders []string `yaml:"upload_folders"`
	// Where credentials come from.
	Credentials awscreds.Config `yaml:"credentials"`
}

func (c *ClientExports) resolve(dir string) {
	c.Credentials.Resolve(dir)
	for i, folder := range c.UploadFolders {
		if !filepath.IsAbs(folder) {
			c.UploadFolders[i] = filepath.Join(dir, folder)
		}
	}
}

// definedBy is the key in a stream's metadata of the definition that a client gave.
const definedBy = "stream_manager"

// clients are the streams as clients of the protocol see them.
type clients struct{ *Manager }

// Create implements protocol.Streams.
func (m clients) Create(ctx context.Context, d protocol.Definition) error {
	m.life.Lock()
	defer m.life.Unlock()
	def, exporters, err := m.client(d)
	if err != nil {
		return err
	}
	if _, there := m.stream(d.Name); there {
		return fmt.Errorf("stream %q: %w", d.Name, log.ErrExists)
	}
	if err := m.engine.Create(ctx, def); err != nil {
		return err
	}
	m.adopt(d.Name, byClient, exporters, starts(d))
	return nil
}

// Update implements protocol.Streams.
func (m clients) Update(ctx context.Context, d protocol.Definition) error {
	m.life.Lock()
	defer m.life.Unlock()
	s, there := m.stream(d.Name)
	if !there {
		return fmt.Errorf("stream %q: %w", d.Name, log.ErrNotFound)
	}
	if s.configured {
		return fmt.Errorf("stream %q: %w: it stands in the gateway's configuration", d.Name, protocol.ErrUpdateNotAllowed)
	}
	def, exporters, err := m.client(d)
	if err != nil {
		return err
	}
	if err := m.engine.Update(ctx, def); err != nil {
		return err
	}
	s.begin(starts(d))
	s.useExporters(ctx, exporters)
	return nil
}

// Delete implements protocol.Streams.
func (m clients) Delete(ctx context.Context, name string) error {
	m.life.Lock()
	defer m.life.Unlock()
	return m.remove(ctx, name)
}

// Stream implements protocol.Streams.
func (m clients) Stream(name string) (*log.Stream, bool) { return m.engine.Stream(name) }

// Names implements protocol.Streams.
func (m clients) Names() []string {
	var names []string
	for _, s := range m.engine.Streams() {
		names = append(names, s.Name())
	}
	return names
}

// Describe implements protocol.Streams.
func (m clients) Describe(name string) (protocol.Definition, []protocol.ExportStatus, error) {
	s, there := m.stream(name)
	l, made := m.engine.Stream(name)
	if !there || !made {
		return protocol.Definition{}, nil, fmt.Errorf("stream %q: %w", name, log.ErrNotFound)
	}
	d, ok := clientDefinition(l)
	if !ok {
		d = protocol.Define(l.Definition())
	}
	statuses := []protocol.ExportStatus{}
	for _, x := range s.running() {
		statuses = append(statuses, x.describe(m.ctx))
	}
	return d, statuses, nil
}

// clientDefinition is what a client has defined; false for a stream of the
// configuration.
func clientDefinition(l *log.Stream) (d protocol.Definition, ok bool) {
	text, ok := l.Definition().Meta[definedBy]
	if !ok || json.Unmarshal([]byte(text), &d) != nil {
		return protocol.Definition{}, false
	}
	return d, true
}

// client is a client's definition as the log has it, and its exports.
func (m *Manager) client(d protocol.Definition) (log.Definition, []ExporterConfig, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return log.Definition{}, nil, err
	}
	def := d.Stream()
	def.Meta = map[string]string{definedBy: string(text)}
	if x := d.ExportDefinition; x != nil && len(x.HTTP) > 0 {
		return log.Definition{}, nil, fmt.Errorf("%w: exports of clients to HTTP are not supported: want an exporter in the gateway's configuration", log.ErrInvalid)
	}
	def.Flush = def.Flush || m.config.Sync == syncAlways && !def.Memory
	return def, m.config.ClientExports.exporters(d), nil
}

// exporters are the exports of a definition that are served.
func (c *ClientExports) exporters(d protocol.Definition) (list []ExporterConfig) {
	if d.ExportDefinition == nil {
		return nil
	}
	for _, e := range d.ExportDefinition.Kinesis {
		list = append(list, ExporterConfig{
			Config:     common(&e.Export),
			identifier: e.Identifier,
			Kinesis: &kinesis.Config{
				Stream:       e.KinesisStreamName,
				Region:       c.Region,
				Endpoint:     c.KinesisEndpoint,
				PartitionKey: kinesis.RandomKey,
				Format:       kinesis.FormatRaw, // what consumers of the original find
				Compress:     kinesis.CompressNone,
				RecordSize:   1 << 20,
				Credentials:  c.Credentials,
			},
		})
	}
	for i := range d.ExportDefinition.S3TaskExecutor {
		list = append(list, c.uploads(&d.ExportDefinition.S3TaskExecutor[i]))
	}
	return list
}

// uploads is an export that uploads files.
func (c *ClientExports) uploads(e *protocol.S3TaskExecutorExport) ExporterConfig {
	tasks := &s3.TaskConfig{
		Service:     s3.Service{Region: c.Region, Endpoint: c.S3Endpoint, PathStyle: c.S3PathStyle, Credentials: c.Credentials},
		Folders:     c.UploadFolders,
		Threshold:   config.Size(e.SizeThresholdForMultipartUploadBytes.Or(s3.MinPartSize)),
		PartSize:    s3.MinPartSize,
		StatusLevel: s3.StatusLevels[s3.LevelInfo],
	}
	if status := e.StatusConfig; status != nil {
		tasks.StatusStream = status.StatusStreamName
		tasks.StatusLevel = s3.StatusLevels[status.StatusLevel.Or(int64(s3.LevelInfo))]
	}
	shared := protocol.Export{Identifier: e.Identifier, Priority: e.Priority, Disabled: e.Disabled}
	return ExporterConfig{Config: common(&shared), identifier: e.Identifier, S3Tasks: tasks}
}

// common is what all exports have.
func common(e *protocol.Export) export.Config {
	return export.Config{
		Name:          exporterName(e.Identifier),
		BatchSize:     int(e.BatchSize.Or(0)),
		BatchInterval: config.Duration(time.Duration(e.BatchIntervalMillis.Or(0)) * time.Millisecond),
		Priority:      int(e.Priority.Or(0)),
		Disabled:      e.Disabled != nil && *e.Disabled,
	}
}

// exporterName is what an export is called here: its identifier, or for one that can't
// be a label a hash of it.
func exporterName(identifier string) string {
	if isName(identifier) {
		return identifier
	}
	return fmt.Sprintf("export-%.8x", sha256.Sum256([]byte(identifier)))
}

// starts are the sequences at which new exports are to begin, by name.
func starts(d protocol.Definition) map[string]uint64 {
	list := map[string]uint64{}
	if d.ExportDefinition == nil {
		return list
	}
	note := func(e *protocol.Export) {
		if e.StartSequenceNumber != nil {
			list[exporterName(e.Identifier)] = uint64(*e.StartSequenceNumber)
		}
	}
	for i := range d.ExportDefinition.Kinesis {
		note(&d.ExportDefinition.Kinesis[i].Export)
	}
	return list
}

// describe is how the exporter is, in the protocol's form.
func (x *exporter) describe(ctx context.Context) protocol.ExportStatus {
	identifier := x.config.identifier
	if identifier == "" {
		identifier = x.config.Name
	}
	d := protocol.ExportStatus{ExportConfigIdentifier: identifier, LastExportedSequenceNumber: -1, ErrorMessage: x.problem}
	if x.runner == nil {
		return d
	}
	st := x.runner.Status(ctx)
	d.LastExportedSequenceNumber = protocol.Integer(st.Checkpoint) - 1
	d.ExportedMessagesCount, d.ExportedBytesFromStream = protocol.Integer(st.Messages), protocol.Integer(st.BytesIn)
	last := st.LastSent
	if st.State == export.Retrying || st.State == export.Refused {
		d.ErrorMessage, last = st.LastError, st.LastErrorAt
	}
	if !last.IsZero() {
		at := protocol.Integer(last.UnixMilli())
		d.LastExportTime = &at
	}
	return d
}
