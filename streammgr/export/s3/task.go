package s3

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/fascia-edge/fascia/streammgr/export/s3/javatime"
)

// Task is a message of a stream that has a file uploaded: S3ExportTaskDefinition of the
// Stream Manager's clients, as JSON.
type Task struct {
	InputURL     string            `json:"inputUrl"` // file:/path of a local file
	Bucket       string            `json:"bucket"`
	Key          string            `json:"key"` // with !{timestamp:PATTERN} for the time of the upload
	UserMetadata map[string]string `json:"userMetadata,omitempty"`
}

// reservedMetadata begins the keys that tasks may not use.
const reservedMetadata = "$aws-gg-"

// ParseTask reads a task and checks what can be checked without the file.
func ParseTask(text []byte) (Task, error) {
	var t Task
	if err := json.Unmarshal(text, &t); err != nil {
		return t, fmt.Errorf("want a task in JSON: %w", err)
	}
	if t.Bucket == "" || t.Key == "" {
		return t, errors.New("want bucket and key in the task")
	}
	if _, err := t.path(); err != nil {
		return t, err
	}
	if _, err := t.key(time.Time{}); err != nil {
		return t, err
	}
	for key, value := range t.UserMetadata {
		if strings.HasPrefix(strings.ToLower(key), reservedMetadata) {
			return t, fmt.Errorf("userMetadata: keys that begin with %s are reserved: got %q", reservedMetadata, key)
		}
		if !httpguts.ValidHeaderFieldName(key) || !httpguts.ValidHeaderFieldValue(value) {
			return t, fmt.Errorf("userMetadata: %q can't be a header: want letters, digits and hyphens, and a value on one line", key)
		}
	}
	return t, nil
}

// path is where the file is.
func (t *Task) path() (string, error) {
	bad := func() (string, error) {
		return "", fmt.Errorf("inputUrl %q: want a local file such as file:///var/data/drive.bin", t.InputURL)
	}
	if filepath.IsAbs(t.InputURL) {
		return filepath.Clean(t.InputURL), nil
	}
	u, err := url.Parse(t.InputURL)
	if err != nil || !strings.EqualFold(u.Scheme, "file") || u.Host != "" && u.Host != "localhost" || !filepath.IsAbs(u.Path) {
		return bad()
	}
	return filepath.Clean(u.Path), nil
}

const (
	placeholder    = "!{"
	timestampField = "timestamp:"
)

// key is the object's key for an upload at a time.
func (t *Task) key(at time.Time) (string, error) {
	var b []byte
	for rest := t.Key; ; {
		before, after, found := strings.Cut(rest, placeholder)
		b = append(b, before...)
		if !found {
			break
		}
		inside, behind, closed := strings.Cut(after, "}")
		pattern, isTime := strings.CutPrefix(inside, timestampField)
		if !closed || !isTime {
			return "", fmt.Errorf("key %q: want !{timestamp:yyyy/MM/dd} where it has !{", t.Key)
		}
		f, err := javatime.Compile(pattern)
		if err != nil {
			return "", fmt.Errorf("key %q: %w", t.Key, err)
		}
		b = f.Append(b, at)
		rest = behind
	}
	if len(b) > maxKey {
		return "", fmt.Errorf("key %q: want at most %d bytes", t.Key, maxKey)
	}
	return string(b), nil
}

// openIn opens a file that is in one of the folders, wherever links lead.
func openIn(folders []string, path string) (*os.File, fs.FileInfo, error) {
	for _, folder := range folders {
		name, err := filepath.Rel(folder, path)
		if err != nil || !filepath.IsLocal(name) {
			continue
		}
		info, err := os.Stat(path) // a pipe is not to be opened: that would wait for its writer
		if err != nil {
			return nil, nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, nil, fmt.Errorf("%s: want a regular file", path)
		}
		f, err := os.OpenInRoot(folder, name)
		if err != nil {
			return nil, nil, err
		}
		if info, err = f.Stat(); err != nil {
			return nil, nil, errors.Join(err, f.Close())
		}
		return f, info, nil
	}
	return nil, nil, fmt.Errorf("%s: want a file in one of the folders that the gateway's configuration names, %q", path, folders)
}
