package file

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/fascia-edge/fascia/streammgr/export/pack"
)

// adopt finds the files of earlier times, and completes those that were not.
func (t *Target) adopt() error {
	entries, err := os.ReadDir(t.config.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, _, ours := t.names.at(e.Name()); !ours || !e.Type().IsRegular() {
			continue
		}
		if name, ok := isPart(e.Name()); ok {
			if err := t.mend(name); err != nil {
				return err
			}
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		t.keep(e.Name(), info.Size())
	}
	slices.SortFunc(t.kept, func(a, b kept) int {
		return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.first, b.first))
	})
	t.makeRoom()
	return nil
}

// mend completes a file that a crash has left, with the whole messages in it.
func (t *Target) mend(name string) error {
	f, err := os.OpenFile(filepath.Join(t.config.Dir, name+part), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	size, err := pack.Whole(t.config.Config, f, info.Size())
	if err == nil && size < info.Size() {
		t.log.Info("the end of a file that was being written is cut off: its messages go again", "file", f.Name(), "bytes", info.Size()-size)
		err = f.Truncate(size)
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return t.finish(name, size)
}

// keep notes a complete file.
func (t *Target) keep(name string, size int64) {
	epoch, first, _ := t.names.at(name)
	same := func(k kept) bool { return k.name == name }
	if i := slices.IndexFunc(t.kept, same); i >= 0 { // written again after a crash
		t.total -= t.kept[i].size
		t.kept = slices.Delete(t.kept, i, i+1)
	}
	t.kept = append(t.kept, kept{name, epoch, first, size})
	t.total += size
}

// makeRoom removes the oldest files.
func (t *Target) makeRoom() {
	for len(t.kept) > 0 && t.total+t.size > int64(t.config.Keep) {
		oldest := t.kept[0]
		if err := os.Remove(filepath.Join(t.config.Dir, oldest.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.log.Error("the oldest file can't be removed", "file", oldest.name, "error", err)
		}
		t.kept = t.kept[1:]
		t.total -= oldest.size
	}
}
