package gateway

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// asUser calls fn on a thread of another user: in Linux each thread has its own.
func asUser(t *testing.T, uid int, fn func()) {
	t.Helper()
	runtime.LockOSThread()
	setEffectiveUID(t, uid)
	fn()
	setEffectiveUID(t, 0)
	runtime.UnlockOSThread()
}

func setEffectiveUID(t *testing.T, uid int) {
	t.Helper()
	const unchanged = ^uintptr(0)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, unchanged, uintptr(uid), unchanged); errno != 0 {
		t.Fatal(errno) // the thread stays locked, and ends with the test's goroutine
	}
}

func TestKernelTellsWhoIsAtTheOtherEnd(t *testing.T) {
	const other = 65534
	uid := os.Getuid()
	var pair [2]int
	connect := func() {
		var err error
		if pair, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); err != nil {
			t.Error(err)
		}
	}
	if os.Geteuid() == 0 {
		uid = other
		asUser(t, other, connect)
	} else {
		connect()
	}
	end, far := os.NewFile(uintptr(pair[0]), ""), os.NewFile(uintptr(pair[1]), "")
	defer end.Close()
	defer far.Close()
	conn, err := net.FileConn(end)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := peerUID(conn); got != uid {
		t.Errorf("got user %d, want %d", got, uid)
	}
	overTCP, _ := net.Pipe()
	defer overTCP.Close()
	if got := peerUID(overTCP); got != nobody {
		t.Errorf("no Unix socket: got user %d, want nobody", got)
	}
}

func TestRootAndTheOwnUserControlTheGateway(t *testing.T) {
	check := func() {
		handler := requireOwner(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		own := os.Geteuid()
		for name, c := range map[string]struct {
			peer any
			want int
		}{
			"root":           {0, http.StatusOK},
			"own user":       {own, http.StatusOK},
			"other user":     {own + 1, http.StatusForbidden},
			"nobody":         {nobody, http.StatusForbidden},
			"no Unix socket": {nil, http.StatusForbidden},
		} {
			request := httptest.NewRequestWithContext(context.WithValue(t.Context(), peerKey{}, c.peer), http.MethodGet, "/v1/status", nil)
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			if answer.Code != c.want {
				t.Errorf("user %d, %s: got %d, want %d", own, name, answer.Code, c.want)
			}
		}
	}
	check()
	if os.Geteuid() == 0 { // as a gateway runs, that is not root
		asUser(t, 65534, check)
	}
}

func TestControlSocketOfAKilledGatewayIsTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "fascia.sock")
	first, err := listenControl(path, http.NotFoundHandler(), slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want a socket for its owner only", info, err)
	}
	if _, err := listenControl(path, http.NotFoundHandler(), slog.Default()); err == nil || !strings.Contains(err.Error(), "another gateway answers on it") {
		t.Errorf("a second gateway: got %v", err)
	}
	first.ln.(*net.UnixListener).SetUnlinkOnClose(false) // as after SIGKILL
	_ = first.ln.Close()
	again, err := listenControl(path, http.NotFoundHandler(), slog.Default())
	if err != nil {
		t.Fatalf("after the first was killed: %v", err)
	}
	_ = again.ln.Close()
}

// A path given by mistake costs nobody a file.
func TestControlSocketNeverReplacesAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(path, []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := listenControl(path, http.NotFoundHandler(), slog.Default()); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, %v, want an error that names %s", s, err, path)
	}
	if text, err := os.ReadFile(path); string(text) != "dear" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

func TestControlSocketsPlace(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "data/fascia.sock",
		"control: {socket: run/f.sock}\n":    "run/f.sock",
		"control: {socket: /run/f.sock}\n":   "/run/f.sock",
		"control: {socket: ../run/f.sock}\n": "../run/f.sock",
	} {
		file := write(t, map[string]string{"fascia.yaml": goodConfig + text})
		c, _, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		if !filepath.IsAbs(want) {
			want = filepath.Join(filepath.Dir(file), want)
		}
		if c.Control.Socket != want {
			t.Errorf("%q: got %s, want %s", text, c.Control.Socket, want)
		}
	}
}
