package gateway

import (
	"path/filepath"

	"github.com/fascia-edge/fascia/canbus/record"
)

// RecordingsFolder is where recordings are in the data directory, a folder each.
const RecordingsFolder = "recordings"

// openRecording opens the stream that takes a recording, or else its folder. Before
// recordings may fill the disk comes what the store may still take of it, and its free
// space.
func (g *Gateway) openRecording(rc record.Config) (record.Sink, error) {
	if g.streams != nil {
		if r, taken := g.streams.Recording(rc.Name); taken {
			return recordingStream{r}, nil
		}
	}
	c := g.Config()
	return record.OpenFolder(filepath.Join(c.DataDir, RecordingsFolder, rc.Name), record.FolderOptions{
		MaxBytes: int64(rc.MaxBytes),
		Reject:   rc.WhenFull == record.Reject,
		Reserve: func() int64 {
			left := int64(c.Store.Size)
			if st := g.store.Load(); st != nil {
				left -= st.Stats().Bytes
			}
			return max(left, 0) + int64(c.Store.FreeSpace)
		},
	})
}

func (m metrics) recordings(list []record.Status) {
	for _, r := range list {
		m := m.of("recording", r.Name)
		m.flag("fascia_recording_active", "1 while frames are kept, 0 while they wait for the recording's condition.", r.Active())
		m.counter("fascia_recording_frames_total", "Frames that were recorded.", r.Frames)
		m.counter("fascia_recording_blocks_total", "Blocks that were recorded.", r.Blocks)
		m.counter("fascia_recording_bytes_total", "Bytes of the blocks that were recorded.", r.Bytes)
		m.counter("fascia_recording_events_total", "Times the recording's condition became true.", r.Events)
		const dropped, droppedHelp = "fascia_recording_dropped_total", "Frames that were not recorded: they came faster than they were taken (late), the memory for the time before an event was full (memory), or a block could not be kept (refused)."
		m.counter(dropped, droppedHelp, r.Late, "reason", "late")
		m.counter(dropped, droppedHelp, r.Crowded, "reason", "memory")
		m.counter(dropped, droppedHelp, r.Refused, "reason", "refused")
		m.gauge("fascia_recording_kept_bytes", "Bytes of the blocks on disk.", float64(r.Kept.Bytes))
		m.counter("fascia_recording_removed_total", "Blocks that went to make room for newer ones.", r.Kept.Removed)
	}
}
