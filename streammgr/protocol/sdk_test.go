package protocol

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/streammgr/npmtest"
)

// sdk runs the SDK of npm's aws-greengrass-core-sdk in a script of testdata; what has
// an = among args is for its environment.
func sdk(t testing.TB, s *Server, script string, args ...string) (out string, err error) {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cmd := npmtest.Script(t, script, port)
	for _, arg := range args {
		if strings.Contains(arg, "=") {
			cmd.Env = append(cmd.Env, arg)
		} else {
			cmd.Args = append(cmd.Args, arg)
		}
	}
	var b strings.Builder
	cmd.Stdout, cmd.Stderr = &b, &b
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// An answer that the SDK can't use ends its reading, and then it waits for ever.
	timer := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err = cmd.Wait()
	return strings.TrimSpace(b.String()), err
}

func TestSDKWorksUnchanged(t *testing.T) {
	s, _ := serve(t, Options{})
	if out, err := sdk(t, s, "testdata/sdk.js"); err != nil || out != "ok" {
		t.Fatalf("%v:\n%s", err, out)
	}
}

func TestSDKNeedsTheToken(t *testing.T) {
	s, _ := serve(t, Options{Auth: AuthToken, Tokens: []string{"old", "s3cret"}})
	if out, err := sdk(t, s, "testdata/sdk.js", "AWS_CONTAINER_AUTHORIZATION_TOKEN=s3cret"); err != nil || out != "ok" {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, env := range []string{"AWS_CONTAINER_AUTHORIZATION_TOKEN=guessed", "AWS_CONTAINER_AUTHORIZATION_TOKEN="} {
		if out, err := sdk(t, s, "testdata/sdk.js", env); err == nil || strings.Contains(out, "\nok") {
			t.Errorf("%s: connected:\n%s", env, out)
		}
	}
	if n := s.Status().Unauthorised; n != 2 {
		t.Errorf("%d connections without a valid token were counted: want 2", n)
	}
}
