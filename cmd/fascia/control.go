package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/gateway"
)

const defaultSocket = "/run/fascia/fascia.sock"

// control is the way to a running gateway: its socket, by the flags of a command.
type control struct{ socket, file string }

// flags adds those that say where the socket is.
func (ctl *control) flags(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVar(&ctl.socket, "socket", "", "control socket of the gateway")
	fs.StringVarP(&ctl.file, "config", "c", "", "configuration that names the socket")
	_ = c.MarkFlagFilename("socket")
	_ = c.MarkFlagFilename("config", "yaml", "yml")
}

// find gives the path of the socket.
func (ctl *control) find() (string, error) {
	switch {
	case ctl.socket != "":
		return ctl.socket, nil
	case os.Getenv("FASCIA_SOCKET") != "":
		return os.Getenv("FASCIA_SOCKET"), nil
	case ctl.file != "":
		c, _, err := gateway.Load(ctl.file)
		if err != nil {
			return "", explain(err)
		}
		return c.Control.Socket, nil
	}
	for _, path := range []string{defaultSocket, demoSocket()} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no gateway found: %s and %s are not there; say --socket or -c", defaultSocket, demoSocket())
}

// dial gives the gateway that the flags mean. It connects with the first call.
func (ctl *control) dial() (*gatewayClient, error) {
	path, err := ctl.find()
	if err != nil {
		return nil, err
	}
	return newGatewayClient(path), nil
}

// gatewayClient speaks with a gateway over its control socket.
type gatewayClient struct {
	path string
	http *http.Client
}

func newGatewayClient(path string) *gatewayClient {
	return &gatewayClient{path, &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", path)
			},
		},
	}}
}

// refusedError is what the gateway answered to a call that it did not carry out.
type refusedError struct {
	status int
	text   string
}

func (e *refusedError) Error() string { return e.text }

// call does a request and decodes the answer into out. The error is a
// *refusedError if the gateway gave another answer than 200.
func (g *gatewayClient) call(ctx context.Context, method, path string, out any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://gateway"+path, nil)
	if err != nil {
		return err
	}
	return g.do(request, out)
}

func (g *gatewayClient) do(request *http.Request, out any) error {
	response, err := g.http.Do(request)
	if err != nil {
		return fmt.Errorf("no gateway answers on %s: %w", g.path, plainCause(err))
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return &refusedError{response.StatusCode, strings.TrimSpace(string(text))}
	}
	return json.NewDecoder(response.Body).Decode(out)
}

func (g *gatewayClient) status(ctx context.Context) (s gateway.Status, err error) {
	err = g.call(ctx, http.MethodGet, "/v1/status", &s)
	return s, err
}
