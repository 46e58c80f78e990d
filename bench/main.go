// Command bench measures what the gateway costs on this machine and prints it
// as a table: start, memory, size, and the way of a recorded drive from file to
// decoder, through `can decode` and through the running gateway.
//
//	go run ./bench -fascia bin/fascia -log drive.candump -dbc car.dbc
//
// Every figure is the median of several runs of the real binary.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fascia-edge/fascia/gateway"
)

var (
	binary = flag.String("fascia", "bin/fascia", "binary to measure")
	drive  = flag.String("log", "../shared/data/can/genesis-drive.candump", "recorded drive")
	dbc    = flag.String("dbc", "../shared/data/can/hyundai_i30_2014.dbc", "DBC that fits it")
	runs   = flag.Int("runs", 5, "runs of each figure; the median is printed")
	settle = flag.Duration("settle", time.Minute, "how long the demo runs before its memory is read")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	fmt.Printf("%s, %d CPUs, %s, medians of %d\n\n", cpuModel(), runtime.NumCPU(), runtime.Version(), *runs)
	size()
	start()
	memory()
	if _, err := os.Stat(*drive); err != nil {
		fmt.Printf("decode and replay left out: %v\n", err)
		return
	}
	decode()
	replay()
}

func size() {
	info, err := os.Stat(*binary)
	must(err)
	report("binary size", "%.1f MB", float64(info.Size())/1e6)
}

// start measures from the start of the process to the first accepted MQTT
// connection of the demo: CONNACK received.
func start() {
	report("start to first CONNACK (target < 300 ms)", "%.0f ms", median(func() float64 {
		g := startDemo()
		defer g.stop()
		return float64(g.up) / float64(time.Millisecond)
	}))
}

func memory() {
	g := startDemo()
	defer g.stop()
	time.Sleep(*settle)
	status := g.status()
	report("resident memory after "+settle.String()+" of demo (target < 40 MB)", "%.1f MB", float64(status.MemoryBytes)/1e6)
	cpu := g.cpu()
	report("CPU of the demo, its simulated ECUs included", "%.2f %% of a core", 100*cpu.Seconds()/time.Since(g.started).Seconds())
}

func decode() {
	var frames float64
	var cpu []float64
	wall := median(func() float64 {
		cmd := exec.Command(*binary, "can", "decode", "--dbc", *dbc, *drive)
		var summary bytes.Buffer
		cmd.Stderr = &summary
		begin := time.Now()
		must(cmd.Run())
		took := time.Since(begin).Seconds()
		frames = leadingNumber(lastLine(summary.String()))
		cpu = append(cpu, used(cmd).Seconds())
		return took
	})
	report("can decode to /dev/null: frames a second, start included", "%.0f", frames/wall)
	report("can decode to /dev/null: CPU a frame, start included", "%.2f µs", middle(cpu)/frames*1e6)
}

// replay runs the gateway on the drive as fast as it goes, once with every
// message published whole and mapped signals on vss/#, nobody subscribed.
func replay() {
	for _, publish := range []string{"[]", `["*"]`} {
		var frames, cpu []float64
		rate := median(func() float64 {
			g := startReplay(publish)
			defer g.stop()
			status := g.await(func(s gateway.Status) bool { return len(s.Buses) == 1 && s.Buses[0].State == "ended" })
			bus := status.Buses[0]
			frames = append(frames, float64(bus.Frames))
			cpu = append(cpu, g.cpu().Seconds())
			return float64(bus.Frames) / bus.Seconds
		})
		what := "replay at max, mapped signals only"
		if publish != "[]" {
			what = "replay at max, every message published too"
		}
		report(what+": frames a second", "%.0f", rate)
		report(what+": CPU a frame, start included", "%.2f µs", middle(cpu)/middle(frames)*1e6)
	}
}

// process is a gateway under measurement.
type process struct {
	cmd     *exec.Cmd
	dir     string
	socket  string
	started time.Time
	up      time.Duration // to the first CONNACK
}

func startDemo() *process {
	dir := temp()
	port, ws, metrics := freePort(), freePort(), freePort()
	return launch(dir, filepath.Join(dir, "fascia.sock"), port, "demo", "--dir", dir,
		"--port", port, "--websocket-port", ws, "--metrics-port", metrics)
}

func startReplay(publish string) *process {
	dir := temp()
	port := freePort()
	recording, err := filepath.Abs(*drive)
	must(err)
	database, err := filepath.Abs(*dbc)
	must(err)
	must(os.WriteFile(filepath.Join(dir, "mapping.yaml"), []byte(mapping), 0o600))
	must(os.WriteFile(filepath.Join(dir, "fascia.yaml"), fmt.Appendf(nil, `
data_dir: data
broker: {listeners: [{name: local, address: "127.0.0.1:%s", auth: [anonymous]}]}
can:
  buses: [{name: can0, source: "replay://%s?speed=max", dbc: [%q], publish: %s}]
  mapping: [mapping.yaml]
`, port, recording, database, publish), 0o600))
	return launch(dir, filepath.Join(dir, "data", "fascia.sock"), port, "run", "-c", filepath.Join(dir, "fascia.yaml"))
}

const mapping = `
signals:
  - {signal: TCU2.VS_TCU, path: Vehicle.Speed, min_interval: 100ms, on_change: true}
  - {signal: EMS1.N, path: Vehicle.Powertrain.CombustionEngine.Speed, type: uint16, min_interval: 100ms}
  - {signal: TCU2.CUR_GR, path: Vehicle.Powertrain.Transmission.CurrentGear, type: int8, on_change: true}
  - {signal: CLU1.CF_Clu_Odometer, path: Vehicle.TraveledDistance, on_change: true}
`

func launch(dir, socket, port string, args ...string) *process {
	g := &process{cmd: exec.Command(*binary, args...), dir: dir, socket: socket, started: time.Now()}
	must(g.cmd.Start())
	for !connack("127.0.0.1:" + port) {
		if time.Since(g.started) > 20*time.Second {
			log.Fatalf("%s: no CONNACK within 20 s", *binary)
		}
		time.Sleep(time.Millisecond)
	}
	g.up = time.Since(g.started)
	return g
}

// connack makes one MQTT 3.1.1 connection and reports whether it was accepted.
func connack(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	_, err = c.Write([]byte("\x10\x11\x00\x04MQTT\x04\x02\x00\x1e\x00\x05bench"))
	answer := make([]byte, 4)
	if err == nil {
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, err = c.Read(answer)
	}
	return err == nil && answer[0] == 0x20 && answer[3] == 0
}

func (g *process) stop() {
	must(g.cmd.Process.Signal(syscall.SIGTERM))
	must(g.cmd.Wait())
	must(os.RemoveAll(g.dir))
}

func (g *process) status() gateway.Status {
	var s gateway.Status
	out, err := exec.Command(*binary, "status", "--json", "--socket", g.socket).Output()
	if err == nil {
		must(json.Unmarshal(out, &s))
	}
	return s
}

func (g *process) await(done func(gateway.Status) bool) gateway.Status {
	for range 3000 {
		if s := g.status(); done(s) {
			return s
		}
		time.Sleep(20 * time.Millisecond)
	}
	log.Fatal("the gateway did not get there within a minute")
	return gateway.Status{}
}

// cpu is the CPU time the process has used (utime and stime of proc(5)).
func (g *process) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", g.cmd.Process.Pid))
	must(err)
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+2:]))
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	return time.Duration(leadingNumber(fields[11])+leadingNumber(fields[12])) * tick
}

func used(cmd *exec.Cmd) time.Duration {
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

func temp() string {
	dir, err := os.MkdirTemp("", "fascia-bench-")
	must(err)
	return dir
}

func freePort() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(err)
	return port
}

func median(measure func() float64) float64 {
	values := make([]float64, *runs)
	for i := range values {
		values[i] = measure()
	}
	return middle(values)
}

func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func report(what, format string, value float64) {
	fmt.Printf("%-64s "+format+"\n", what, value)
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

func leadingNumber(text string) float64 {
	var n float64
	_, err := fmt.Sscan(text, &n)
	must(err)
	return n
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // another kernel: the name stays out
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name\t: "); ok {
			return strings.TrimSpace(name)
		}
	}
	return runtime.GOARCH
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
