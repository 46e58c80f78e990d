package unixsocket

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestSocketOfADeadProcessIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "a.sock")
	dead, err := Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false) // as after SIGKILL
	dead.Close()
	live, err := Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	live.Close()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Close left the path: %v", err)
	}
}

func TestWhatIsInUseStays(t *testing.T) {
	dir := t.TempDir()
	live, err := Listen(filepath.Join(dir, "live"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "live"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{"live": ErrAnswered, "file": ErrNoSocket, "link": ErrNoSocket} {
		_, err := Listen(filepath.Join(dir, name), 0o600)
		if !errors.Is(err, want) || !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Errorf("%s is gone: %v", name, err)
		}
	}
}

func TestModeHoldsFromTheFirstMomentWhateverTheUmask(t *testing.T) {
	for _, umask := range []int{0, 0o77} {
		old := syscall.Umask(umask)
		t.Cleanup(func() { syscall.Umask(old) })
		path := filepath.Join(t.TempDir(), "a.sock")
		first, err := bind(path, 0o660)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&^0o660 != 0 {
			t.Errorf("umask %03o: others may connect for a moment: %v, %v", umask, info.Mode(), err)
		}
		first.Close()
		second, err := Listen(path, 0o660)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
			t.Errorf("umask %03o: %v, %v", umask, info.Mode(), err)
		}
		second.Close()
	}
}

func TestPeerIsTheProcessThatConnected(t *testing.T) {
	socket, err := Listen(filepath.Join(t.TempDir(), "a.sock"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	ours, err := net.Dial("unix", socket.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	theirs, err := socket.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	peer, err := Peer(theirs)
	if err != nil || int(peer.Pid) != os.Getpid() || int(peer.Uid) != os.Getuid() || int(peer.Gid) != os.Getgid() {
		t.Fatalf("got %+v, %v", peer, err)
	}
	pipe, far := net.Pipe()
	defer pipe.Close()
	defer far.Close()
	if _, err := Peer(pipe); !errors.Is(err, ErrNoPeer) {
		t.Fatalf("got %v for a pipe", err)
	}
}
