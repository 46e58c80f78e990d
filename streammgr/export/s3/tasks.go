package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/streammgr/export"
	"github.com/fascia-edge/fascia/streammgr/log"
)

// TaskConfig is an exporter that uploads the files which the stream's messages name:
// the S3 task executor of the Stream Manager.
type TaskConfig struct {
	Service `yaml:",inline"`
	// Folders whose files may be uploaded, those in folders below them too; without any no file may.
	Folders []string `yaml:"folders"`
	// Bytes from which a file goes in parts, so that an upload that was cut off goes on where it was.
	Threshold config.Size `yaml:"threshold" default:"5MiB" min:"5MiB"`
	// Bytes of a part; large files have larger ones, for an object has 10000 at most.
	PartSize config.Size `yaml:"part_size" default:"5MiB" min:"5MiB" max:"1GiB"`
	// Stream that is told how the uploads go; without it none.
	StatusStream string `yaml:"status_stream"`
	// What it is told: errors alone, or more.
	StatusLevel string `yaml:"status_level" default:"info" enum:"error,warn,info,debug,trace"`
}

// StatusLevels are the values of TaskConfig.StatusLevel, in the order of StatusLevel.
var StatusLevels = []string{"error", "warn", "info", "debug", "trace"}

func (c *TaskConfig) level() StatusLevel {
	return StatusLevel(slices.Index(StatusLevels, c.StatusLevel))
}

// Resolve makes the paths of files and folders relative to dir, the folder of the
// configuration file.
func (c *TaskConfig) Resolve(dir string) {
	c.Service.Resolve(dir)
	for i, folder := range c.Folders {
		if !filepath.IsAbs(folder) {
			c.Folders[i] = filepath.Join(dir, folder)
		}
	}
}

// maxObject is the largest object (Amazon S3 multipart upload limits).
const maxObject = 48 << 40

// TaskEnv is what Tasks are told of where they run.
type TaskEnv struct {
	Env
	// Identifier is what the status calls the exporter; "" for Exporter.
	Identifier string
	// Append appends to a stream, for the status of uploads.
	Append func(ctx context.Context, stream string, messages ...[]byte) (first uint64, err error)
}

// Tasks uploads files, one after the other. A task that can't be carried out, for its
// file is not there or S3 refuses its bucket, is left out and reported: it is to be
// appended again by whoever mends it. Its methods are for one goroutine at a time.
type Tasks struct {
	config  TaskConfig
	env     TaskEnv
	log     *slog.Logger
	store   *store
	journal journal
	upload  fileUpload // the zero value for none
	told    id         // of which task it was told that it has begun
	warned  id         // and that it has failed and is tried again
}

// id names a message; epochs begin with 1.
type id struct {
	epoch uint32
	seq   uint64
}

// fileUpload is what S3 has of a file, as it is written down after each part.
type fileUpload struct {
	Epoch    uint32    `json:"epoch"` // of the task
	Seq      uint64    `json:"seq"`
	Bucket   string    `json:"bucket"`
	Key      string    `json:"key"`
	Upload   string    `json:"upload,omitempty"`
	Size     int64     `json:"size"` // of the file, and when it was changed last
	Modified time.Time `json:"modified"`
	PartSize int64     `json:"part_size"`
	Parts    []Part    `json:"parts,omitempty"`
	Whole    bool      `json:"whole,omitempty"` // completing it was tried
}

// NewTasks makes a target that goes on with the upload an earlier one has left. It does
// not go over the network.
func NewTasks(ctx context.Context, c TaskConfig, env TaskEnv) (*Tasks, error) {
	if c.level() < 0 {
		return nil, fmt.Errorf("s3: status_level %q: want one of %q", c.StatusLevel, StatusLevels)
	}
	if env.Identifier == "" {
		env.Identifier = env.Exporter
	}
	store, err := newStore(ctx, &c.Service, env.Vehicle)
	if err != nil {
		return nil, err
	}
	t := &Tasks{config: c, env: env, log: env.logger(), store: store,
		journal: journal{env.Keeper, "s3-tasks/" + env.Stream.Name() + "/" + env.Exporter}}
	if !t.journal.read(&t.upload) {
		t.upload = fileUpload{}
	}
	return t, nil
}

// Send carries out tasks, and blocks until the last of them is done or one fails.
func (t *Tasks) Send(ctx context.Context, batch []log.Message) (sent export.Sent, err error) {
	for i := range batch {
		err = t.do(ctx, &batch[i])
		sent.Bytes += t.store.spent()
		if err != nil {
			return sent, err
		}
		sent.Done++
	}
	return sent, nil
}

// do carries out one task.
func (t *Tasks) do(ctx context.Context, m *log.Message) error {
	task, err := ParseTask(m.Payload)
	if err != nil {
		t.report(ctx, m, nil, StatusFailure, err.Error())
		return fmt.Errorf("s3: task: %w: %w", export.ErrUnfit, err)
	}
	if t.told != (id{m.Epoch, m.Seq}) {
		t.told = id{m.Epoch, m.Seq}
		t.report(ctx, m, &task, StatusInProgress, "")
	}
	err = t.send(ctx, m, &task)
	switch {
	case err == nil:
		t.report(ctx, m, &task, StatusSuccess, "")
		return t.forget()
	case ctx.Err() != nil:
		return ctx.Err()
	case refused.is(err), errors.Is(err, errFile):
		t.report(ctx, m, &task, StatusFailure, err.Error())
		t.giveUp(ctx)
		return fmt.Errorf("%w: %w", export.ErrUnfit, unwrapped(err))
	case t.warned != id{m.Epoch, m.Seq}:
		t.warned = id{m.Epoch, m.Seq}
		t.report(ctx, m, &task, StatusWarning, err.Error()+"; it is tried again")
	}
	return err
}

// errFile says that a task's file can't be uploaded.
var errFile = errors.New("file can't be uploaded")

// unwrapped keeps an error's text alone: what refuses a task does not refuse all.
func unwrapped(err error) error { return errors.New(err.Error()) }

// send uploads the file of a task.
func (t *Tasks) send(ctx context.Context, m *log.Message, task *Task) error {
	path, err := task.path()
	if err != nil {
		return fmt.Errorf("s3: %w: %w", errFile, err)
	}
	f, info, err := openIn(t.config.Folders, path)
	if err != nil {
		return fmt.Errorf("s3: %w: %w", errFile, err)
	}
	defer f.Close()
	u := &t.upload
	if u.Upload != "" && (u.Epoch != m.Epoch || u.Seq != m.Seq || u.Size != info.Size() || !u.Modified.Equal(info.ModTime())) {
		t.giveUp(ctx) // another task, or the file was changed
	}
	if u.Upload == "" {
		key, err := task.key(time.Now())
		if err != nil {
			return fmt.Errorf("s3: %w: %w", errFile, err)
		}
		*u = fileUpload{Epoch: m.Epoch, Seq: m.Seq, Bucket: task.Bucket, Key: key, Size: info.Size(), Modified: info.ModTime(),
			PartSize: max(int64(t.config.PartSize), info.Size()/(maxParts-1)+1)}
	}
	if u.Size > maxObject {
		return fmt.Errorf("s3: %w: it has %d bytes: want at most %d", errFile, u.Size, int64(maxObject))
	}
	at := &place{bucket: u.Bucket, key: u.Key, metadata: task.UserMetadata}
	if u.Size <= int64(t.config.Threshold) {
		return t.store.put(ctx, at, func() io.ReadSeeker { return io.NewSectionReader(f, 0, u.Size) }, u.Size)
	}
	return t.sendParts(ctx, at, f)
}

// sendParts uploads a large file, from the first part on that S3 does not have.
func (t *Tasks) sendParts(ctx context.Context, at *place, f *os.File) error {
	u := &t.upload
	if u.Upload == "" {
		upload, err := t.store.begin(ctx, at)
		if err != nil {
			return err
		}
		u.Upload = upload
		if err := t.journal.write(u); err != nil {
			return err
		}
	}
	for begin := u.PartSize * int64(len(u.Parts)); begin < u.Size; begin += u.PartSize {
		size := min(u.PartSize, u.Size-begin)
		part, err := t.store.part(ctx, at, u.Upload, len(u.Parts)+1, func() io.ReadSeeker { return io.NewSectionReader(f, begin, size) }, size)
		if err != nil {
			return t.lost(err)
		}
		u.Parts = append(u.Parts, part)
		if err := t.journal.write(u); err != nil {
			return err
		}
	}
	if u.Whole && t.store.has(ctx, at, u.Size) {
		return nil
	}
	u.Whole = true
	if err := t.journal.write(u); err != nil {
		return err
	}
	err := t.store.complete(ctx, at, u.Upload, u.Parts)
	if gone.is(err) && t.store.has(ctx, at, u.Size) {
		return nil
	}
	return t.lost(err)
}

// lost begins anew, at the next try, with an upload that is there no more.
func (t *Tasks) lost(err error) error {
	if gone.is(err) {
		t.upload.Upload = ""
	}
	return err
}

// giveUp gives up the upload.
func (t *Tasks) giveUp(ctx context.Context) {
	u := &t.upload
	if u.Upload != "" {
		if err := t.store.abort(ctx, &place{bucket: u.Bucket, key: u.Key}, u.Upload); err != nil {
			t.log.Warn("an upload is left behind: the bucket's lifecycle rule may end it", "bucket", u.Bucket, "key", u.Key, "upload", u.Upload, "error", err)
		}
	}
	if err := t.forget(); err != nil {
		t.log.Warn("an upload can't be forgotten", "error", err)
	}
}

// forget takes down that no upload is under way.
func (t *Tasks) forget() error {
	if t.upload.Upload == "" {
		return nil
	}
	t.upload = fileUpload{}
	return t.journal.write(&t.upload)
}

// Close lets go of connections. An upload that is under way goes on with the next
// target.
func (t *Tasks) Close(context.Context) error {
	t.store.close()
	return nil
}
