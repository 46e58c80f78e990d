package listen

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/fascia-edge/fascia/auth/pki/pkitest"
)

// inNamespace is set for the test's second run, which has a network namespace
// to itself: that goes with its process, and nothing has to be cleaned up.
const inNamespace = "FASCIA_TEST_IN_NAMESPACE"

func TestListenerFollowsItsInterface(t *testing.T) {
	if os.Getenv(inNamespace) != "" {
		followInterface(t)
		return
	}
	missing := ""
	if os.Geteuid() != 0 {
		missing = "making a network namespace needs root"
	} else if _, err := exec.LookPath("ip"); err != nil {
		missing = "iproute2 is not installed"
	}
	switch {
	case missing != "" && os.Getenv("CI") == "true":
		t.Fatal(missing)
	case missing != "":
		t.Skip(missing)
	}
	again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	again.Env = append(os.Environ(), inNamespace+"=1")
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if out, err := again.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func followInterface(t *testing.T) {
	ip(t, "link set lo up")
	a := pkitest.New(t, t.TempDir())
	a.IssueServer(net.IPv4(192, 0, 2, 1), net.IPv4(192, 0, 2, 2))
	cluster := a.Client("cluster")
	r := start(t, fmt.Sprintf(`{name: late, interface: late0, port: 8883, tls: {cert: %[1]s/server.pem, key: %[1]s/server.key, client_ca: %[1]s/ca.pem}}`, a.Dir), roomy())
	reach := func(address string) (ours, theirs net.Conn) {
		ours = dialTLS(t, address, cluster)
		theirs = r.next(t)
		exchange(t, ours, theirs, 10)
		return ours, theirs
	}
	bound := func() string {
		var list []string
		for _, l := range r.Info() {
			if strings.HasPrefix(l.Address, "192.0.2.") { // the kernel adds a link-local one of IPv6
				list = append(list, l.Address)
			}
		}
		return strings.Join(list, " ")
	}
	if at := bound(); at != "" {
		t.Fatalf("bound to %s before there is an interface", at)
	}
	ip(t, "link add late0 type veth peer name far0", "addr add 192.0.2.1/24 dev late0")
	if at := bound(); at != "" {
		t.Fatalf("bound to %s while the interface is down", at)
	}
	ip(t, "link set late0 up")
	eventually(t, "binding the interface that came", func() bool { return bound() == "192.0.2.1:8883" })
	ours, theirs := reach("192.0.2.1:8883")

	ip(t, "addr add 192.0.2.2/24 dev late0")
	eventually(t, "binding a second address", func() bool { return strings.Contains(bound(), "192.0.2.2:8883") })
	exchange(t, ours, theirs, 10) // whoever is connected stays
	ip(t, "addr flush dev late0", "addr add 192.0.2.2/24 dev late0")
	eventually(t, "letting go of the first", func() bool { return bound() == "192.0.2.2:8883" })
	reach("192.0.2.2:8883")

	ip(t, "link del late0")
	eventually(t, "letting go of all", func() bool { return len(r.Info()) == 0 })
	ip(t, "link add late0 type veth peer name far0", "addr add 192.0.2.1/24 dev late0", "link set late0 up")
	eventually(t, "binding the interface that came back", func() bool { return bound() == "192.0.2.1:8883" })
	reach("192.0.2.1:8883")
}

// ip runs commands of iproute2.
func ip(t *testing.T, commands ...string) {
	t.Helper()
	for _, command := range commands {
		if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", command, err, out)
		}
	}
}
