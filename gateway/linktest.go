package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/fascia-edge/fascia/bridge"
	"github.com/fascia-edge/fascia/bridge/link"
)

// LinkTest is what a test of a link has shown, as the control socket answers it.
type LinkTest struct {
	OK        bool           `json:"ok"` // every endpoint took a connection
	Endpoints []EndpointTest `json:"endpoints"`
}

// EndpointTest is one endpoint's part of it.
type EndpointTest struct {
	URL   string     `json:"url"`
	MS    float64    `json:"ms"` // all steps
	Error string     `json:"error,omitempty"`
	Steps []TestStep `json:"steps"` // in order; the last one is that which failed
}

// TestStep is one step of connecting.
type TestStep struct {
	Name   string  `json:"name"` // resolve, connect, proxy, tls, websocket, mqtt
	MS     float64 `json:"ms"`
	Detail string  `json:"detail,omitempty"` // what came of it
	Error  string  `json:"error,omitempty"`
}

// TestLink connects to each endpoint of a link once, as the link would and with a
// client id beside the link's, and tells how each step went. It needs no running
// gateway, and blocks for as long as the steps may take. The error wraps
// bridge.ErrNoLink.
func TestLink(ctx context.Context, c *Config, name string) (LinkTest, error) {
	i := slices.IndexFunc(c.Bridge.Links, func(l bridge.LinkConfig) bool { return l.Name == name })
	if i < 0 {
		return LinkTest{}, fmt.Errorf("link %q: %w", name, bridge.ErrNoLink)
	}
	result, err := bridge.Test(ctx, c.Bridge.Links[i], c.bridgeVehicle(), slog.New(slog.DiscardHandler))
	if err != nil {
		return LinkTest{}, err
	}
	t := LinkTest{OK: result.OK()}
	for _, e := range result.Endpoints {
		t.Endpoints = append(t.Endpoints, endpointTest(e))
	}
	return t, nil
}

func endpointTest(e link.EndpointTest) EndpointTest {
	t := EndpointTest{URL: e.URL, MS: milliseconds(e.Took), Error: errorText(e.Err)}
	for _, s := range e.Steps {
		t.Steps = append(t.Steps, TestStep{Name: s.Name, MS: milliseconds(s.Took), Detail: s.Detail, Error: strings.TrimPrefix(errorText(s.Err), s.Name+": ")})
	}
	return t
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
