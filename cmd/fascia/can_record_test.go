package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/canbus/canlog"
	"github.com/fascia-edge/fascia/gateway"
)

// A log becomes blocks, and these the same log again, to the byte; decoded both
// give the same.
func TestBlocksHoldWhatTheLogDid(t *testing.T) {
	shared := sharedCAN(t, true)
	drive, dbc := filepath.Join(shared, "genesis-drive.candump"), filepath.Join(shared, "hyundai_i30_2014.dbc")
	blocks := filepath.Join(t.TempDir(), "drive.fcan")
	if r := run(t, "can", "record", "--from", "replay://"+drive+"?speed=max", "--format", "block", "-o", blocks); r.code != 0 || r.stdout != "" || !strings.Contains(r.stderr, "55314 frames recorded") {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	want, err := os.ReadFile(drive)
	if err != nil {
		t.Fatal(err)
	}
	if r := run(t, "can", "record", "--from", "replay://"+blocks+"?speed=max"); r.code != 0 || r.stdout != string(want) {
		t.Errorf("exit code %d, %d bytes, want the %d of the log: %s", r.code, len(r.stdout), len(want), r.stderr)
	}
	if a, b := run(t, "can", "decode", "--dbc", dbc, drive), run(t, "can", "decode", "--dbc", dbc, blocks); a.stdout != b.stdout || a.stderr != b.stderr {
		t.Errorf("decoded, the blocks give %d bytes, the log %d", len(b.stdout), len(a.stdout))
	}
}

func TestABlockThatIsCutOffIsToldAndTheRestIsUsed(t *testing.T) {
	dir := configured(t, map[string]string{
		"a.log": "(1600279140.020108) can0 2A0#48\n(1600279160.020108) can0 2A1#48\n",
		"a.dbc": "VERSION \"\"\n\nBU_: ECU\n",
	})
	in := func(name string) string { return filepath.Join(dir, name) }
	if r := run(t, "can", "record", "--from", "replay://"+in("a.log")+"?speed=max", "--format", "block", "-o", in("a.fcan")); r.code != 0 {
		t.Fatal(r.stderr)
	}
	whole, err := os.ReadFile(in("a.fcan"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("torn.fcan"), whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, "can", "decode", "--dbc", in("a.dbc"), in("torn.fcan"))
	if r.code != 0 || strings.Count(r.stdout, "\n") != 1 || !strings.Contains(r.stderr, "warning: block 2: block at byte ") ||
		!strings.Contains(r.stderr, "1 blocks could not be read") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if r := run(t, "can", "decode", "--strict", "--dbc", in("a.dbc"), in("torn.fcan")); r.code != 1 {
		t.Errorf("--strict: exit code %d, want 1", r.code)
	}
	bus, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	r = run(t, "can", "replay", "--to", "udp://"+bus.LocalAddr().String(), in("torn.fcan"))
	if r.code != 0 || !strings.Contains(r.stderr, "1 frames sent") || !strings.Contains(r.stderr, "torn.fcan:2: block at byte") {
		t.Errorf("replay: exit code %d: %s", r.code, r.stderr)
	}
}

// What comes from a bus is a line at once, and the file is there when SIGINT has
// ended the recording.
func TestABusIsRecordedUntilInterrupted(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "drive.candump")
	probe, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	address := probe.LocalAddr().String()
	_ = probe.Close()
	p := launch(t, dir, "", "can", "record", "--from", "udp://"+address, "--bus", "body", "-o", file)
	bus, err := net.Dial("udp4", address)
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	frame := make([]byte, 16) // struct can_frame
	frame[0], frame[1], frame[4], frame[8] = 0x23, 0x01, 1, 0xAB
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		_, _ = bus.Write(frame) // refused until the process listens
		if written, err := os.ReadFile(file + partial); err == nil && len(written) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing was recorded")
		}
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("got %v, want no file of that name before it is whole", err)
	}
	p.signal(syscall.SIGINT)
	<-p.done
	text, err := os.ReadFile(file)
	if err != nil || p.cmd.ProcessState.ExitCode() != 0 || !strings.HasSuffix(strings.SplitN(string(text), "\n", 2)[0], ") body 123#AB") || strings.Contains(p.log.String(), "warning") {
		t.Errorf("exit code %d, %v: %s%s", p.cmd.ProcessState.ExitCode(), err, text, p.log)
	}
}

func TestARecordingEndsAsAskedFor(t *testing.T) {
	dir := configured(t, map[string]string{
		"a.log": strings.Repeat("(1600279140.020108) can0 100#48\n(1600279140.020108) can0 101#48\n", 20),
		"a.dbc": "VERSION \"\"\n\nBU_: ECU\n\nBO_ 257 Pack: 1 ECU\n",
	})
	from := "replay://" + filepath.Join(dir, "a.log") + "?speed=max"
	if r := run(t, "can", "record", "--from", from, "--frames", "3", "--bus", "x", "--dbc", filepath.Join(dir, "a.dbc"), "--message", "Pack"); r.code != 0 ||
		r.stdout != strings.Repeat("(1600279140.020108) x 101#48\n", 3) {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if r := run(t, "can", "record", "--from", from+"&loop=true", "--for", "50ms", "--message", "0x100"); r.code != 0 ||
		!strings.HasSuffix(r.stdout, " can0 100#48\n") || strings.Contains(r.stdout, "101#") {
		t.Errorf("exit code %d: %.200s%s", r.code, r.stdout, r.stderr)
	}
	out := filepath.Join(dir, "out")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 2, "from where?"},
		{[]string{"--from", "nowhere"}, 2, "--from: source"},
		{[]string{"--from", from, "--bus", "a", "--bus", "b"}, 2, "want one for each --from, got 2 for 1"},
		{[]string{"--from", from, "--message", "Pack"}, 2, "--message Pack: no --dbc has a message of that name"},
		{[]string{"--from", from, "--format", "asc"}, 2, "want candump or block"},
		{[]string{"--from", from, "--resolution", "1s"}, 2, "want 1us or 1ms"},
		{[]string{"--from", "replay://" + dir + "/none?speed=max", "-o", out}, 1, "no such file"},
		{[]string{"--from", from, "-o", filepath.Join(dir, "none", "out")}, 1, "no such file"},
	} {
		if r := run(t, append([]string{"can", "record"}, c.args...)...); r.code != c.code || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%v: exit code %d, want %d and %q: %s", c.args, r.code, c.code, c.want, r.stderr)
		}
	}
	if left, _ := filepath.Glob(out + "*"); left != nil {
		t.Errorf("a recording of nothing left %v", left)
	}
}

// recorded reads the blocks of a recording: how many frames they have, and the
// names of their files. It fails for a block that is not whole.
func recorded(t *testing.T, p *process, name string) (frames uint64, files []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir, "data", gateway.RecordingsFolder, name, "*.fcan"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		log, err := canlog.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		for log.Scan() {
			frames++
		}
		if log.Err() != nil || log.Skipped() > 0 {
			t.Errorf("%s: %v %v, want a whole block", file, log.Err(), log.SkippedLines())
		}
		_ = log.Close()
	}
	return frames, files
}

func recordingConfig(source, record string) map[string]string {
	var log strings.Builder
	for i := range 20_000 { // payloads that don't compress: files of some size
		fmt.Fprintf(&log, "(%d.%06d) can0 100#%016X\n", 1600000000+i/1000, i%1000*1000, uint64(i)*0x9E3779B97F4A7C15)
	}
	return map[string]string{"drive.log": log.String(), "fascia.yaml": `data_dir: data
broker: {listeners: [{name: local, address: "127.0.0.1:0", auth: [anonymous]}]}
can:
  buses: [{name: can0, source: "` + source + `"}]
  record: [` + record + `]
`}
}

func TestStoppingCostsNoRecordedFrame(t *testing.T) {
	p := start(t, configured(t, recordingConfig("replay://drive.log?speed=max", "{name: drive}")))
	p.await("at the end of the log", func(s gateway.Status) bool { return s.Buses[0].State == "ended" })
	if r := run(t, "status", "--socket", p.socket); !strings.Contains(r.stdout, "recording drive") || !strings.Contains(r.stdout, "recording  ") {
		t.Errorf("status does not tell of the recording:\n%s", r.stdout)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if frames, files := recorded(t, p, "drive"); frames != 20_000 || len(files) != 1 {
		t.Errorf("got %d frames in %v, want all 20,000 in one block", frames, files)
	}
}

// Blocks are written all the time when the process dies: what is there under its
// name is whole, and the next start goes on behind it.
func TestAKillLeavesWholeBlocksOnly(t *testing.T) {
	dir := configured(t, recordingConfig("replay://drive.log?speed=max&loop=true", "{name: drive, max_bytes: 4MiB}"))
	last := ""
	for range 5 {
		p := start(t, dir)
		p.await("recording", func(s gateway.Status) bool { return s.Recordings[0].Blocks >= 3 })
		p.signal(syscall.SIGKILL)
		<-p.done
		frames, files := recorded(t, p, "drive")
		if len(files) < 3 || frames == 0 {
			t.Errorf("got %d frames in %v", frames, files)
		}
		if newest := slices.Max(files); newest <= last {
			t.Errorf("the newest block is %s after %s", newest, last)
		} else {
			last = newest
		}
	}
	p := start(t, dir)
	defer p.stop()
	if torn, _ := filepath.Glob(filepath.Join(dir, "data", gateway.RecordingsFolder, "drive", "*.tmp")); len(torn) > 1 {
		t.Errorf("got %v, want at most the block that is being written", torn)
	}
}
