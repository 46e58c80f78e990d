package soak

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	listenWithin = 30 * time.Second
	stopWithin   = 30 * time.Second
	// logKept is how much of the broker's log is kept for the report, in bytes.
	logKept = 8 << 10
)

// process is a broker as a process of this machine, that is killed and started
// again on the same data.
type process struct {
	command []string
	address string
	ledger  *ledger
	random  *rand.Rand

	running *exec.Cmd
	ended   chan struct{} // closed when running has ended
	starts  atomic.Int32
	log     tail
	// startups is how long each start took until the listener was there.
	startups []time.Duration
}

// start starts the broker and waits until it listens.
func (p *process) start() error {
	began := time.Now()
	if err := p.launch(); err != nil {
		return err
	}
	for time.Since(began) < listenWithin {
		if socket, err := net.Dial("tcp", p.address); err == nil {
			p.startups = append(p.startups, time.Since(began))
			return socket.Close()
		}
		select {
		case <-p.ended:
			return fmt.Errorf("the broker ended instead of listening: %v\n%s", p.running.ProcessState, p.log.String())
		case <-time.After(2 * time.Millisecond):
		}
	}
	return fmt.Errorf("the broker does not listen on %s after %v\n%s", p.address, listenWithin, p.log.String())
}

func (p *process) launch() error {
	p.starts.Add(1)
	p.running = exec.Command(p.command[0], p.command[1:]...)
	p.running.Stdout, p.running.Stderr = &p.log, &p.log
	if err := p.running.Start(); err != nil {
		return err
	}
	running, ended := p.running, make(chan struct{})
	p.ended = ended
	go func() {
		_ = running.Wait()
		close(ended)
	}()
	return nil
}

// kill ends the broker without warning.
func (p *process) kill() {
	_ = p.running.Process.Kill()
	<-p.ended
}

// stop asks the broker to end, as an operator does; it has to exit with 0.
func (p *process) stop() error {
	if err := p.running.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(stopWithin):
		p.kill()
		return fmt.Errorf("the broker did not end within %v of SIGTERM\n%s", stopWithin, p.log.String())
	}
	if code := p.running.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the broker ended with %d after SIGTERM\n%s", code, p.log.String())
	}
	return nil
}

// strike ends the broker in one of several ways, the plain kill most often, and
// starts it again.
func (p *process) strike() error {
	select {
	case <-p.ended:
		return fmt.Errorf("the broker ended by itself: %v\n%s", p.running.ProcessState, p.log.String())
	default:
	}
	switch way := p.random.IntN(10); way {
	case 0:
		p.ledger.event("SIGTERM")
		if err := p.stop(); err != nil {
			return err
		}
	case 1:
		pause := atMost(p.random, 10*time.Millisecond)
		p.ledger.event("SIGTERM, and SIGKILL %v later", pause)
		if err := p.running.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		time.Sleep(pause)
		p.kill()
	case 2, 3:
		p.ledger.event("SIGKILL")
		p.kill()
		if err := p.launch(); err != nil {
			return err
		}
		pause := atMost(p.random, 60*time.Millisecond)
		time.Sleep(pause)
		p.ledger.event("SIGKILL %v after the start", pause)
		p.kill()
	default:
		p.ledger.event("SIGKILL")
		p.kill()
	}
	time.Sleep(atMost(p.random, 100*time.Millisecond))
	err := p.start()
	p.ledger.event("started")
	return err
}

// atMost is a random duration below d.
func atMost(random *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(random.Int64N(int64(d)))
}

// freePort is an address that stays free: below the range from which the kernel
// gives ports to clients, where one that dials a dead broker could come to talk
// to itself.
func freePort() (string, error) {
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		l, err := net.Listen("tcp", address)
		if err == nil {
			return address, l.Close()
		}
	}
	return "", errors.New("no free port between 10000 and 30000")
}

// tail keeps the last of what is written. Safe for concurrent use.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - logKept; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
