package edgebroker

import (
	"strconv"

	"github.com/fascia-edge/fascia/clock"
)

// sysPrefix begins the topics of the broker's own state.
const sysPrefix = "$SYS/broker/"

// publishState renews the $SYS topics. They are last known values: they cost
// next to nothing when nobody listens, and can't be overwritten.
func (b *Broker) publishState() {
	st := b.Stats()
	set := func(name, value string) {
		if value != "" {
			_ = b.LastValue(sysPrefix+name).Set([]byte(value), "") // only an empty value is an error
		}
	}
	number := func(name string, n uint64) { set(name, strconv.FormatUint(n, 10)) }
	set("version", b.version)
	number("uptime", uint64((clock.Now()-b.started)/clock.Second))
	number("clients/connected", uint64(st.Clients))
	number("clients/disconnected", uint64(max(0, st.Sessions-st.Clients)))
	number("clients/total", uint64(st.Sessions))
	number("subscriptions/count", uint64(st.Subscriptions))
	number("retained messages/count", uint64(st.Retained))
	number("messages/received", st.MessagesReceived)
	number("messages/sent", st.MessagesSent)
	number("messages/dropped", st.Dropped())
	number("bytes/received", st.BytesReceived)
	number("bytes/sent", st.BytesSent)
}
