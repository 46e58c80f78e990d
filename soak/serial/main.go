// Command serial carries MQTT connections out of a machine that is about to
// lose its power: each serial line /dev/ttyS0, /dev/ttyS1… is one connection to
// the broker inside, and the client at its other end lives on.
//
//	serial ADDRESS LINES [FIRST]
//
// FIRST is the number of the first of so many lines, 0 without it.
//
// A line begins with one byte, "!", when its connection stands. What comes
// before is lost.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) != 3 && len(os.Args) != 4 {
		fail("want the broker's address, the number of lines and the first one's, got %q", os.Args[1:])
	}
	numbers := []int{0, 0}
	for i, word := range os.Args[2:] {
		number, err := strconv.Atoi(word)
		if err != nil {
			fail("number of lines: %v", err)
		}
		numbers[i] = number
	}
	lines, first := numbers[0], numbers[1]
	var running sync.WaitGroup
	for i := first; i < first+lines; i++ {
		running.Go(func() {
			err := carry(fmt.Sprintf("/dev/ttyS%d", i), os.Args[1])
			fmt.Printf("serial: line %d has ended: %v\n", i, err)
		})
	}
	running.Wait()
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "serial: "+format+"\n", args...)
	os.Exit(2)
}

// carry connects a line to the broker until one of them ends.
func carry(path, address string) error {
	line, err := openRaw(path)
	if err != nil {
		return err
	}
	defer line.Close()
	broker := dial(address)
	defer broker.Close()
	if _, err := line.Write([]byte("!")); err != nil {
		return err
	}
	ended := make(chan error, 2)
	go func() { ended <- move(broker, line) }()
	go func() { ended <- move(line, broker) }()
	return <-ended
}

// openRaw opens a line that passes every byte as it is and echoes none.
func openRaw(path string) (*os.File, error) {
	line, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	mode, err := unix.IoctlGetTermios(int(line.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	mode.Iflag, mode.Oflag, mode.Lflag = 0, 0, 0
	mode.Cc[unix.VMIN], mode.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(int(line.Fd()), unix.TCSETS, mode); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return line, nil
}

// dial waits for the broker to listen.
func dial(address string) net.Conn {
	for {
		broker, err := net.Dial("tcp", address)
		if err == nil {
			return broker
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// move is io.Copy without splice, which moves single bytes of a terminal.
func move(to io.Writer, from io.Reader) error {
	buf := make([]byte, 8<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}
