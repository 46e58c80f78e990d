package record

import "encoding/binary"

// What the broker keeps in the store, by key or by the name of a queue. No client
// id and no filter holds a NUL [MQTT-1.5.4-2].
const (
	SessionKeys   = "session/"  // + client id
	FilterKeys    = "filter/"   // + client id NUL filter
	ReceivedKeys  = "received/" // + client id NUL packet id: QoS 2 between PUBLISH and PUBREL
	RetainedKeys  = "retained/" // + topic
	PresenceKeys  = "presence/" // + client id: the event that it came, if that went into somebody's stored queue
	StartsKey     = "starts"    // how often a process began with this store
	SessionQueues = "session/"  // + client id
	SpilledQueues = "spilled/"  // + client id: of sessions that end with their connection
	SharedQueues  = "shared/"   // + $share/name/filter
	DurableQueues = "receiver/" // + name
)

// FilterKey is the key of a subscription.
func FilterKey(client, filter string) string { return FilterKeys + client + "\x00" + filter }

// ReceivedKey is the key of a packet id between PUBLISH and PUBREL.
func ReceivedKey(client string, id uint16) string {
	return string(binary.BigEndian.AppendUint16([]byte(ReceivedKeys+client+"\x00"), id))
}
