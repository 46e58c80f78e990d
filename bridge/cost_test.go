package bridge

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fascia-edge/fascia/config"
)

// budgeted is a link with a budget of so many MiB.
func budgeted(far string, month int) string {
	return fmt.Sprintf(`
links:
  - name: cloud
    url: mqtt://%s
    client_id: car
    classes: [{name: urgent}, {name: bulk}]
    budget: {month: %dMiB, stop: {bulk: 50}}
    rules:
      - {direction: up, local: "urgent/#", remote: "urgent", class: urgent}
      - {direction: up, local: "bulk/#", remote: "bulk", class: bulk}
`, far, month)
}

// A class stops at its part of the month and waits, through a restart too, until
// there is more of a month; the others go on.
func TestTheBudgetStopsAClassAndKeepsItsMessages(t *testing.T) {
	m := farBroker(t, "")
	f := connectFar(t, m.address, "far", "#")
	folder := t.TempDir()
	c, stop := drive(t, folder, budgeted(m.address, 1))
	want := func(topic string) {
		t.Helper()
		if got := f.next(t); got.Topic != topic {
			t.Fatalf("got a message on %s, want %s", got.Topic, topic)
		}
	}
	c.publish(t, "bulk/1", "early")
	want("bulk")
	for range 6 {
		c.publish(t, "urgent/1", strings.Repeat("x", 100_000))
		want("urgent")
	}
	held := func() string { return c.bridge.Status()[0].Classes[1].Held }
	eventually(t, "the bytes are counted", func() bool { return c.bridge.Status()[0].Budget.Used > 600_000 })
	c.publish(t, "bulk/2", "late")
	eventually(t, "bulk is held", func() bool { return strings.Contains(held(), "50 %") })
	c.publish(t, "urgent/2", "urgent all the same")
	want("urgent")

	stop()
	c, _ = drive(t, folder, budgeted(m.address, 1))
	st := c.bridge.Status()[0].Budget
	if st == nil || st.Used < 600_000 || st.Used > 800_000 || st.Month != 1<<20 || st.Since == "" {
		t.Fatalf("after a restart: got %+v, want the count of before", st)
	}
	c.publish(t, "urgent/3", "urgent after the restart")
	want("urgent")
	eventually(t, "one message waits, for the budget", func() bool { return c.spooled() == 1 && strings.Contains(held(), "50 %") })
	if err := c.bridge.Use(parse(t, budgeted(m.address, 100))); err != nil {
		t.Fatal(err)
	}
	want("bulk")
}

func TestABudgetForAClassThatIsNotThereIsAMistake(t *testing.T) {
	var c Config
	_, err := config.Decode("fascia.yaml", []byte(strings.Replace(budgeted("localhost:1", 1), "{bulk: 50}", "{bulky: 50}", 1)), &c)
	if err == nil || !strings.Contains(err.Error(), `budget.stop.bulky: the link has no class "bulky"`) {
		t.Errorf("got %v", err)
	}
}
