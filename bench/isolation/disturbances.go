package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// disturbances go on until their context ends or something fails; each calls
// ready once.
var disturbances = map[string]func(ctx context.Context, d *disturbance, ready func()) error{
	"deaf":         func(ctx context.Context, d *disturbance, ready func()) error { return deaf(ctx, d, 0, ready) },
	"deaf-qos1":    func(ctx context.Context, d *disturbance, ready func()) error { return deaf(ctx, d, 1, ready) },
	"flood":        func(ctx context.Context, d *disturbance, ready func()) error { return flood(ctx, d, 0, true, ready) },
	"flood-nobody": func(ctx context.Context, d *disturbance, ready func()) error { return flood(ctx, d, 0, false, ready) },
	"flood-qos1":   func(ctx context.Context, d *disturbance, ready func()) error { return flood(ctx, d, 1, true, ready) },
	"storm":        func(ctx context.Context, d *disturbance, ready func()) error { return storm(ctx, d, nil, ready) },
	"storm-tls": func(ctx context.Context, d *disturbance, ready func()) error {
		return storm(ctx, d, &tls.Config{InsecureSkipVerify: true}, ready) //nolint:gosec // a certificate made for this run
	},
	"levels": levels,
	"search": search,
	"fetch":  fetch,
}

const (
	noise       = "noise/a"
	deafPayload = 1 << 10
	deafRate    = 2000    // messages a second
	deafFirst   = 4 << 10 // messages at once, more than sockets and queues hold
	floodSize   = 64
	floodBatch  = 256 // messages written at once
)

// deaf is a client that subscribes to everything and does not read, and one that
// publishes for it.
func deaf(ctx context.Context, d *disturbance, qos byte, ready func()) error {
	d.unit = "messages for who does not read"
	c, err := connect(ctx, d.address, "deaf")
	if err != nil {
		return err
	}
	if err := c.Conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		return err
	}
	if err := c.subscribe(qos, "#"); err != nil {
		return err
	}
	p, err := connect(ctx, d.address, "deaf-publisher")
	if err != nil {
		return err
	}
	batch := publishes(noise, make([]byte, deafPayload), qos, deafRate/100)
	put := func() error { return p.put(batch, qos, deafRate/100, d) }
	for range deafFirst / (deafRate / 100) {
		if err := put(); err != nil {
			return err
		}
	}
	ready()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for ctx.Err() == nil {
		if err := put(); err != nil {
			return err
		}
		<-ticker.C
	}
	return ctx.Err()
}

// publishes are n messages as they are written.
func publishes(topic string, payload []byte, qos byte, n int) (batch []byte) {
	for range n {
		batch = appendPublish(batch, topic, payload, qos, false)
	}
	return batch
}

// put writes a batch of n messages and waits until they are acknowledged.
func (c *client) put(batch []byte, qos byte, n int, d *disturbance) error {
	if _, err := c.Write(batch); err != nil {
		return err
	}
	for range n * int(qos) {
		if _, err := c.await(packets.Puback); err != nil {
			return err
		}
	}
	d.done.Add(uint64(n))
	return nil
}

// flood publishes as fast as it goes.
func flood(ctx context.Context, d *disturbance, qos byte, heard bool, ready func()) error {
	d.unit = "messages"
	if heard {
		if err := listenTo(ctx, d.address, "flood-subscriber", qos, noise); err != nil {
			return err
		}
	}
	p, err := connect(ctx, d.address, "flood")
	if err != nil {
		return err
	}
	ready()
	batch := publishes(noise, make([]byte, floodSize), qos, floodBatch)
	for err == nil {
		err = p.put(batch, qos, floodBatch, d)
	}
	return err
}

// listenTo subscribes and reads whatever comes until the context ends. At QoS 1 it
// acknowledges.
func listenTo(ctx context.Context, address, id string, qos byte, filters ...string) error {
	c, err := connect(ctx, address, id)
	if err != nil {
		return err
	}
	if err := c.subscribe(qos, filters...); err != nil {
		return err
	}
	if _, err := c.await(packets.Suback); err != nil {
		return err
	}
	go func() { // ends with the connection, that with the context
		if qos == 0 {
			_, _ = io.Copy(io.Discard, c.in)
			return
		}
		for {
			kind, body, err := c.packet()
			if err != nil {
				return
			}
			if kind != packets.Publish {
				continue
			}
			topic := int(body[0])<<8 | int(body[1])
			if _, err := c.Write([]byte{packets.Puback << 4, 2, body[2+topic], body[3+topic]}); err != nil {
				return
			}
		}
	}()
	return nil
}

// storm is clients that connect and go, all at once.
func storm(ctx context.Context, d *disturbance, secure *tls.Config, ready func()) error {
	d.unit = "connections"
	var clients sync.WaitGroup
	for i := range d.clients {
		clients.Go(func() {
			for ctx.Err() == nil {
				if err := comeAndGo(ctx, d.address, fmt.Sprint("storm-", i), secure); err != nil {
					pause(ctx)
					continue
				}
				d.done.Add(1)
			}
		})
	}
	pause(ctx)
	ready()
	clients.Wait()
	return errors.Join(errors.New("all clients have ended"), ctx.Err())
}

// pause keeps a client that is refused from trying as fast as it can.
func pause(ctx context.Context) {
	timer := time.NewTimer(100 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func comeAndGo(ctx context.Context, address, id string, secure *tls.Config) error {
	if secure == nil {
		c, err := connect(ctx, address, id)
		if err != nil {
			return err
		}
		return c.Close()
	}
	socket, err := (&tls.Dialer{Config: secure}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return socket.Close()
}

const deepest = 64 // levels

// levels is a client with many filters of 64 levels, one that publishes to topics
// of 64 levels that nobody has used before, and one that subscribes in a loop.
func levels(ctx context.Context, d *disturbance, ready func()) error {
	d.unit = "messages"
	const wild = 9 // levels that are + in half of the filters
	filters := make([]string, 1<<wild)
	for i := range filters {
		names := strings.Split(strings.Repeat("a/", deepest-1)+"+", "/")
		for bit := range wild {
			if i>>bit&1 == 1 {
				names[1+bit] = "+"
			}
		}
		filters[i] = strings.Join(names, "/")
	}
	if err := listenTo(ctx, d.address, "levels-subscriber", 0, filters...); err != nil {
		return err
	}
	s, err := connect(ctx, d.address, "levels-come-and-go")
	if err != nil {
		return err
	}
	go func() { // ends with the connection, that with the context
		for {
			if _, err := s.ask(filters[1]); err != nil {
				return
			}
		}
	}()
	p, err := connect(ctx, d.address, "levels-publisher")
	if err != nil {
		return err
	}
	ready()
	prefix := strings.Repeat("a/", deepest-1)
	var batch []byte
	for next := 0; err == nil; {
		batch = batch[:0]
		for range floodBatch {
			batch = appendPublish(batch, fmt.Sprint(prefix, next), []byte("x"), 0, false)
			next++
		}
		err = p.put(batch, 0, floodBatch, d)
	}
	return err
}

// ask subscribes, takes what comes, unsubscribes, and gives how many messages
// came.
func (c *client) ask(filters ...string) (messages uint64, err error) {
	if err := c.subscribe(0, filters...); err != nil {
		return 0, err
	}
	early, err := c.await(packets.Suback)
	if err != nil {
		return 0, err
	}
	// What is retained comes before the answer to what is asked next.
	if err := c.unsubscribe(filters...); err != nil {
		return 0, err
	}
	messages, err = c.await(packets.Unsuback)
	return early + messages, err
}

// search asks for few of the retained messages, by filters that hide where they are.
func search(ctx context.Context, d *disturbance, ready func()) error {
	d.unit = "searches"
	c, err := connect(ctx, d.address, "search")
	if err != nil {
		return err
	}
	ready()
	for err == nil {
		if _, err = c.ask("bulk/+/7/state", "+/+/+/nothing"); err == nil {
			d.done.Add(1)
		}
	}
	return err
}

// fetch asks for all of the retained messages.
func fetch(ctx context.Context, d *disturbance, ready func()) error {
	d.unit = "retained messages"
	c, err := connect(ctx, d.address, "fetch")
	if err != nil {
		return err
	}
	ready()
	for err == nil {
		var n uint64
		n, err = c.ask("bulk/#")
		d.done.Add(n)
	}
	return err
}
