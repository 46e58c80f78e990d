package edgebroker

import (
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/edgebroker/listen"
	"github.com/fascia-edge/fascia/store"
	"github.com/fascia-edge/fascia/topic"
)

// Config is the broker section of the gateway's file.
type Config struct {
	// Where clients connect.
	Listeners []listen.Config `yaml:"listeners"`
	// When what the broker acknowledges is safe.
	Durability Durability `yaml:"durability"`
	// How much a client may send, keep and wait for.
	Limits Limits `yaml:"limits"`
	// How long a message that goes to four clients or more at once, or comes from the vehicle, may wait for more to the same client, when that was written to within twice this time; 0s to write everything at once.
	WriteDelay config.Duration `yaml:"write_delay" default:"2ms" max:"1m"`
	// How often the $SYS topics are renewed; 0s for no $SYS topics.
	SysInterval config.Duration `yaml:"sys_interval" default:"10s"`
}

// Durability says what a message, a subscription or a session has survived when
// its client hears that it was taken.
type Durability struct {
	// What the broker waits for before it acknowledges: always, the disk has it, so it survives a power cut; interval, the kernel has it, so it survives the death of the process, and the disk follows within the interval; never, the kernel has it too, and the disk follows when the kernel sees fit.
	Sync string `yaml:"sync" default:"interval" enum:"always,interval,never"`
	// How long the kernel may hold back what it has from the disk.
	Interval config.Duration `yaml:"interval" default:"100ms" min:"1ms" max:"1h"`
	// Other ways for some topics; the first filter that matches counts.
	ByFilter []FilterDurability `yaml:"by_filter"`
}

// FilterDurability is the durability of some topics.
type FilterDurability struct {
	// Topic filter, such as act/#.
	Filter string `yaml:"filter" required:"true"`
	// As durability.sync.
	Sync string `yaml:"sync" required:"true" enum:"always,interval,never"`
}

// Validate implements config.Validator.
func (f *FilterDurability) Validate(r *config.Reporter) {
	if !topic.ValidFilter(f.Filter) {
		r.At("filter").Errorf("want a topic filter such as act/#, got %q", f.Filter)
	}
}

// whenFullReject refuses the publisher's message for all when one session is full.
const whenFullReject = "reject"

var syncs = map[string]store.Sync{"always": store.SyncAlways, "interval": store.SyncInterval, "never": store.SyncNever}

// syncOf is how durably messages on a topic are stored.
func (b *Broker) syncOf(name string) store.Sync {
	for _, f := range b.cfg.Durability.ByFilter {
		if topic.Match(f.Filter, name) {
			return syncs[f.Sync]
		}
	}
	return b.sync
}

// Limits bound what clients can make the broker hold.
type Limits struct {
	// Largest packet a client may send; a larger one ends the connection with reason 0x95.
	PacketSize config.Size `yaml:"packet_size" default:"256KiB" min:"1KiB" max:"256MiB"`
	// How many connections there may be at once over all listeners, whether they have sent a CONNECT or not.
	Connections int `yaml:"connections" default:"1000" min:"1"`
	// Bytes that may wait to be written to one connection; beyond it QoS 0 messages to that client are dropped and QoS 1 and 2 wait in its session.
	QueueBytes config.Size `yaml:"queue_bytes" default:"1MiB" min:"4KiB"`
	// Bytes of QoS 1 and 2 messages that may wait in one session; beyond it the oldest are dropped.
	SessionBytes config.Size `yaml:"session_bytes" default:"16MiB" min:"4KiB"`
	// How many QoS 1 and 2 messages may wait in one session; beyond it the oldest are dropped.
	SessionMessages int `yaml:"session_messages" default:"20000" min:"1"`
	// What happens when the queue of a session is full: its oldest message is dropped, or the publisher's is refused with reason 0x97 for all receivers.
	WhenFull string `yaml:"when_full" default:"drop_oldest" enum:"drop_oldest,reject"`
	// How many sessions there may be, connected or not.
	Sessions int `yaml:"sessions" default:"2000" min:"1"`
	// Longest time that the session of an absent client is kept; MQTT 3.1.1 sessions have this expiry.
	SessionExpiry config.Duration `yaml:"session_expiry" default:"24h"`
	// How many subscriptions one session may have; more are refused with reason 0x97.
	Subscriptions int `yaml:"subscriptions" default:"1000" min:"1"`
	// How many levels a topic or filter may have.
	TopicLevels int `yaml:"topic_levels" default:"32" min:"1"`
	// How many retained messages there may be; more are refused with reason 0x97.
	RetainedMessages int `yaml:"retained_messages" default:"10000" min:"1"`
	// Bytes that retained messages may take together.
	RetainedBytes config.Size `yaml:"retained_bytes" default:"16MiB" min:"4KiB"`
	// QoS 1 and 2 messages under way to or from one client and not acknowledged.
	Inflight int `yaml:"inflight" default:"1024" min:"1" max:"65535"`
	// Longest keep alive of a client, which also holds for those that ask for none; 0s for any. Version 5 clients are told it.
	KeepAlive config.Duration `yaml:"keep_alive" default:"0s" max:"18h12m15s"`
	// How many messages a second one client may publish, with those of two seconds at once; a faster one is disconnected with reason 0x96. 0 for any number.
	PublishRate int `yaml:"publish_rate" default:"0" min:"0"`
	// How many bytes a second one client may publish, with those of two seconds at once; a faster one is disconnected with reason 0x96. 0 for any number.
	PublishBytes config.Size `yaml:"publish_bytes" default:"0"`
	// Time from accepting a connection, with its TLS or WebSocket handshake, to a complete CONNECT.
	ConnectTimeout config.Duration `yaml:"connect_timeout" default:"10s" min:"100ms"`
	// Time within which a connection must take 64 KiB of what waits for it, or all if that is less; else it is closed and its session stays.
	WriteTimeout config.Duration `yaml:"write_timeout" default:"20s" min:"100ms"`
}

// Resolve makes the paths of files and sockets relative to dir, the folder of
// the configuration file.
func (c *Config) Resolve(dir string) {
	for i := range c.Listeners {
		c.Listeners[i].Resolve(dir)
	}
}

// Validate implements config.Validator.
func (c *Config) Validate(r *config.Reporter) {
	first := make(map[string]int)
	for i, l := range c.Listeners {
		if j, taken := first[l.Name]; taken {
			r.At("listeners", i, "name").Errorf("listener %q is there twice, first as listeners[%d]: want a name for each", l.Name, j)
		} else {
			first[l.Name] = i
		}
	}
}
