package log

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/umltest"
)

const powerInit = `
mount -t ext4 /dev/ubda /mnt
%s=/mnt/streams %s=%t %s
`

// A cut of power with flush loses nothing acknowledged; without it, nothing but
// what was acknowledged within the last interval. Numbers that were lost are given
// again in another epoch.
func TestPowerCutLosesNoMoreThanPromised(t *testing.T) {
	umltest.Need(t, map[string]string{"linux.uml": "user-mode-linux", "mkfs.ext4": "e2fsprogs"})
	program := umltest.Build(t, "test", "-c", ".")
	for _, flush := range []bool{true, false} {
		t.Run(fmt.Sprintf("flush %t", flush), func(t *testing.T) {
			disk := umltest.NewDisk(t, 100<<20)
			random := rand.New(rand.NewPCG(2, 0))
			// A machine as slow as this one takes a while for a sync.
			slack := clock.Time(DefaultSyncInterval + 400*time.Millisecond)
			if flush {
				slack = 0
			}
			var promised, acknowledged, epoch uint64
			for range 3 {
				k := umltest.Boot(t, umltest.Machine{Disk: disk, Init: fmt.Sprintf(powerInit, killMe, killFlush, flush, program)})
				k.Await(t, "acknowledged", time.Minute)
				time.Sleep(time.Duration(300+random.IntN(2000)) * time.Millisecond)
				k.Cut()
				type moment struct {
					next uint64
					at   clock.Time
				}
				var moments []moment
				for line := range strings.Lines(k.Console()) {
					if !strings.HasSuffix(line, "\n") {
						break // cut off
					}
					line = strings.TrimSpace(line)
					var first, next, in, lost uint64
					var m moment
					if n, _ := fmt.Sscanf(line, "opened %d %d %d %d", &first, &next, &in, &lost); n == 4 {
						if next < promised || next < acknowledged && in <= epoch {
							t.Errorf("%s, want at least %d of %d after epoch %d", line, promised, acknowledged, epoch)
						}
						t.Logf("%s; %d were acknowledged, %d promised", line, acknowledged, promised)
						epoch = in
					}
					if n, _ := fmt.Sscanf(line, "acknowledged %d %d", &m.next, &m.at); n == 2 {
						moments = append(moments, m)
					}
					if strings.HasPrefix(line, "failed") || strings.HasPrefix(line, "panic") {
						t.Fatal(k.Console())
					}
				}
				last := moments[len(moments)-1]
				promised, acknowledged = 0, last.next
				for _, m := range moments {
					if m.at <= last.at-slack {
						promised = m.next
					}
				}
			}
		})
	}
}
