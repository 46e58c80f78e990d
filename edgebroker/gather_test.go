package edgebroker

import (
	"fmt"
	"testing"
)

// What goes to so many clients at once may rest.
const hearers = 4

// What rests when the broker closes is not left behind. No round comes meanwhile.
func TestWhatRestsIsWrittenWhenTheBrokerCloses(t *testing.T) {
	b, stop := startOn(t, decode(t, loopback+"  write_delay: 10s\n"), t.TempDir())
	var list []*client
	for i := range hearers {
		c := connect(t, b, 4, fmt.Sprint("hears", i))
		c.subscribe("ivi/n", 0)
		list = append(list, c)
	}
	publisher := connect(t, b, 4, "tells")
	publisher.publish(0, 0, "ivi/n", "first")
	for _, c := range list {
		c.expectPublish("ivi/n", "first") // at once: none was written to before
	}
	publisher.publish(0, 0, "ivi/n", "last")
	publisher.ping()
	stop()
	for _, c := range list {
		c.expectPublish("ivi/n", "last")
	}
}
