// Command conformance runs the public interoperability suites of
// eclipse/paho.mqtt.testing, client_test.py (MQTT 3.1.1) and client_test5.py
// (MQTT 5.0), against the real binary, set as the suites ask, and prints a table
// test by test. A test that fails for asking more than the standard does is
// named with the clause; it exits with 0 if every other one passes.
//
//	go run ./conformance -suite ~/paho.mqtt.testing/interoperability
//	go run ./conformance -suite … -broker 127.0.0.1:1883
//
// With -broker it starts nothing and tests the broker that listens there. The
// suites use fixed client ids, so nothing else may use it meanwhile.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	listenWithin = 10 * time.Second
	stopWithin   = 20 * time.Second
	suiteWithin  = 15 * time.Minute
)

// driver runs one suite without its command line.
//
//go:embed run.py
var driver []byte

func main() {
	log.SetFlags(0)
	suite := flag.String("suite", "", "folder with client_test.py and client_test5.py")
	binary := flag.String("fascia", "bin/fascia", "binary to test")
	broker := flag.String("broker", "", "host:port of another broker to test in its place")
	flag.Parse()
	if *suite == "" || flag.NArg() > 0 {
		log.Print("usage: go run ./conformance -suite FOLDER [-fascia FILE | -broker HOST:PORT]\n" +
			"FOLDER is interoperability/ of https://github.com/eclipse/paho.mqtt.testing")
		os.Exit(2)
	}
	ok, err := run(os.Stdout, *suite, *binary, *broker)
	if err != nil {
		log.Fatal("conformance: ", err)
	}
	if !ok {
		os.Exit(1)
	}
}

func run(w io.Writer, suite, binary, address string) (ok bool, err error) {
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	excused := map[string]map[string]string{} // another broker fails for reasons of its own
	if address == "" {
		excused = stricter
		g, err := start(binary, dir)
		if err != nil {
			return false, err
		}
		address = g.address
		defer func() {
			if stopped := g.stop(); err == nil && stopped != nil {
				ok, err = false, stopped
			}
			if !ok {
				_, _ = os.Stderr.Write(g.log.Bytes())
			}
		}()
	}
	ok = true
	for _, name := range []string{"client_test", "client_test5"} {
		results, err := runSuite(suite, name, address, dir)
		if err != nil {
			return false, err
		}
		ok = report(w, name, results, excused[name]) && ok
	}
	return ok, nil
}

// runSuite runs one suite against the broker at address.
func runSuite(folder, name, address, dir string) ([]result, error) {
	if _, err := os.Stat(filepath.Join(folder, name+".py")); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), suiteWithin)
	defer cancel()
	told := filepath.Join(dir, name+".json")
	python := exec.CommandContext(ctx, "python3", "-B", "-", folder, name, host, port, told)
	var output bytes.Buffer
	python.Stdin, python.Stdout, python.Stderr = bytes.NewReader(driver), &output, &output
	failed := python.Run()
	results, err := readResults(told)
	if err == nil && failed != nil {
		err = failed
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", name, err, output.Bytes())
	}
	return results, nil
}

// gateway is the binary under test.
type gateway struct {
	cmd     *exec.Cmd
	address string
	ended   chan error
	log     bytes.Buffer // read when it has ended
}

// configuration is what the suites ask for: keep alive 60 for
// test_server_keep_alive, test/nosubscribe for test_subscribe_failure.
const configuration = `vehicle: {vin: "KMHGN4JE0FU000001", thing: "KMHGN4JE0FU000001"}
data_dir: data
broker:
  listeners: [{name: local, address: %q, auth: [anonymous]}]
  limits: {keep_alive: 60s}
auth:
  roles:
    local: {publish: ["#"], subscribe: ["#"], deny_subscribe: ["test/nosubscribe"]}
`

func start(binary, dir string) (*gateway, error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gateway{address: free.Addr().String(), ended: make(chan error, 1)}
	if err := free.Close(); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "fascia.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, configuration, g.address), 0o600); err != nil {
		return nil, err
	}
	g.cmd = exec.Command(binary, "run", "-c", file)
	g.cmd.Stderr = &g.log
	if err := g.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (make build makes it)", err)
	}
	go func() { g.ended <- g.cmd.Wait() }()
	for end := time.Now().Add(listenWithin); time.Now().Before(end); {
		if socket, err := net.Dial("tcp", g.address); err == nil {
			return g, socket.Close()
		}
		select {
		case err := <-g.ended:
			return nil, fmt.Errorf("%s ended instead of listening: %w\n%s", binary, err, g.log.Bytes())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil, errors.Join(fmt.Errorf("%s does not listen on %s after %v", binary, g.address, listenWithin), g.stop())
}

// stop ends the gateway as an operator does; it has to exit with 0.
func (g *gateway) stop() error {
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-g.ended:
		return err
	case <-time.After(stopWithin):
		_ = g.cmd.Process.Kill()
		return errors.Join(fmt.Errorf("the gateway did not stop within %v", stopWithin), <-g.ended)
	}
}
