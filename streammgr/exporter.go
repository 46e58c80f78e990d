package streammgr

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/export/awscreds"
	"github.com/fascia-edge/fascia/streammgr/export/file"
	"github.com/fascia-edge/fascia/streammgr/export/http"
	"github.com/fascia-edge/fascia/streammgr/export/kinesis"
	"github.com/fascia-edge/fascia/streammgr/export/nats"
	"github.com/fascia-edge/fascia/streammgr/export/s3"
)

// ExporterConfig is one way out of a stream: what all have, and one target.
type ExporterConfig struct {
	export.Config `yaml:",inline"`
	// Files in a folder.
	File *file.Config `yaml:"file"`
	// An HTTP endpoint.
	HTTP *http.Config `yaml:"http"`
	// A stream of Kinesis Data Streams.
	Kinesis *kinesis.Config `yaml:"kinesis"`
	// Objects in a bucket of S3.
	S3 *s3.Config `yaml:"s3"`
	// Files that the stream's messages name, uploaded to S3: the Stream Manager's S3 tasks.
	S3Tasks *s3.TaskConfig `yaml:"s3_tasks"`
	// A subject of NATS.
	NATS *nats.Config `yaml:"nats"`

	identifier string // that a client gave it, "" for one of the configuration
}

// Validate checks that there is one target.
func (c *ExporterConfig) Validate(r *config.Reporter) {
	if kinds := c.kinds(); len(kinds) != 1 {
		r.Errorf("exporter %q has %d targets: want one of file, http, kinesis, s3, s3_tasks and nats", c.Name, len(kinds))
	}
}

// kinds are the targets that are given, by their keys.
func (c *ExporterConfig) kinds() (keys []string) {
	if c.File != nil {
		keys = append(keys, "file")
	}
	if c.HTTP != nil {
		keys = append(keys, "http")
	}
	if c.Kinesis != nil {
		keys = append(keys, "kinesis")
	}
	if c.S3 != nil {
		keys = append(keys, "s3")
	}
	if c.S3Tasks != nil {
		keys = append(keys, "s3_tasks")
	}
	if c.NATS != nil {
		keys = append(keys, "nats")
	}
	return keys
}

// kind is the key of the target.
func (c *ExporterConfig) kind() string { return strings.Join(c.kinds(), " ") }

func (c *ExporterConfig) resolve(dir string) {
	if c.File != nil {
		c.File.Resolve(dir)
	}
	if c.HTTP != nil {
		c.HTTP.Resolve(dir)
	}
	if c.Kinesis != nil {
		c.Kinesis.Resolve(dir)
	}
	if c.S3 != nil {
		c.S3.Resolve(dir)
	}
	if c.S3Tasks != nil {
		c.S3Tasks.Resolve(dir)
	}
	if c.NATS != nil {
		c.NATS.Resolve(dir)
	}
}

// exporter is an exporter of a stream.
type exporter struct {
	config  ExporterConfig
	runner  *export.Runner // nil while it can't be made
	problem string         // why
}

// newExporter makes an exporter of a stream that is there, and starts it.
func (s *stream) newExporter(c ExporterConfig) *exporter {
	x := &exporter{config: c}
	target, uplink, err := s.target(s.manager.ctx, &c)
	if err == nil {
		x.runner, err = export.New(export.Options{
			Config: c.Config,
			Stream: s.log,
			Target: target,
			Uplink: uplink,
			State:  s.manager.options.State,
			Keeper: s.manager.options.Keeper,
			Clock:  s.manager.options.Clock,
			Log:    s.manager.options.Log,
		})
		if err != nil {
			_ = target.Close(s.manager.ctx) // it has sent nothing
		}
	}
	if err != nil {
		x.problem = err.Error()
		s.logger.Error("an exporter can't be made; the stream keeps what it is to have", "exporter", c.Name, "error", err)
		s.log.Checkpoint(c.Name)
		return x
	}
	x.runner.Start()
	return x
}

// stop ends the exporter. Its checkpoint stays.
func (x *exporter) stop(ctx context.Context, s *stream) {
	if x.runner == nil {
		return
	}
	if err := x.runner.Stop(ctx); err != nil {
		s.logger.Warn("an exporter was not ended in order", "exporter", x.config.Name, "error", err)
	}
}

// same reports whether an exporter goes on as it is under another configuration.
func (x *exporter) same(c ExporterConfig) bool {
	return x.runner != nil && reflect.DeepEqual(x.config, c)
}

// target makes the far side of an exporter. The uplink is nil for one that uses no
// link of the vehicle.
func (s *stream) target(ctx context.Context, c *ExporterConfig) (target export.Target, uplink *export.Uplink, err error) {
	o := &s.manager.options
	who := awscreds.Vehicle{VIN: o.Vehicle.VIN, Thing: o.Vehicle.Thing}
	vars := map[string]string{"vin": o.Vehicle.VIN, "thing": o.Vehicle.Thing, "stream": s.name}
	uplink = s.manager.uplink
	switch {
	case c.File != nil:
		uplink = nil
		files := *c.File
		if files.Dir == "" {
			files.Dir = filepath.Join(o.DataDir, ExportFolder, file.Folder(s.name, c.Name))
		}
		target, err = file.New(files, vars, s.logger.With("exporter", c.Name))
	case c.HTTP != nil:
		target, err = http.New(*c.HTTP, vars)
	case c.Kinesis != nil:
		target, err = kinesis.New(ctx, *c.Kinesis, kinesis.Env{Stream: s.name, Vehicle: who})
	case c.S3 != nil:
		target, err = s3.New(ctx, *c.S3, s3.Env{Stream: s.log, Exporter: c.Name, Keeper: o.Keeper, Vehicle: who, Log: o.Log})
	case c.S3Tasks != nil:
		env := s3.Env{Stream: s.log, Exporter: c.Name, Keeper: o.Keeper, Vehicle: who, Log: o.Log}
		target, err = s3.NewTasks(ctx, *c.S3Tasks, s3.TaskEnv{Env: env, Identifier: c.identifier, Append: s.manager.Append})
	case c.NATS != nil:
		target, err = nats.New(*c.NATS, vars)
	default:
		err = errors.New("no target")
	}
	return target, uplink, err
}
