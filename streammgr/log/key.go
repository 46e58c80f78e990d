package log

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// keyFile tells whether a key is the one that the streams are encrypted with.
const keyFile = "key.check"

// checkKey keeps the server from a wrong key, with which it would find no streams
// and say so in its log.
func checkKey(dir, key string) error {
	path := filepath.Join(dir, keyFile)
	want, err := os.ReadFile(path)
	isNew := errors.Is(err, fs.ErrNotExist)
	if err != nil && !isNew {
		return fmt.Errorf("streams: %w", err)
	}
	if key == "" {
		if isNew {
			return nil
		}
		return fmt.Errorf("streams: %s is encrypted, and no key was given: %w", dir, ErrWrongKey)
	}
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = mac.Write([]byte("fascia streams"))
	sum := fmt.Appendf(nil, "%x\n", mac.Sum(nil))
	if isNew {
		if err := os.WriteFile(path, sum, 0o600); err != nil {
			return fmt.Errorf("streams: %w", err)
		}
		return errors.Join(syncFile(path), syncFile(dir))
	}
	if !hmac.Equal(want, sum) {
		return fmt.Errorf("streams: %s is encrypted with another key: %w", dir, ErrWrongKey)
	}
	return nil
}
