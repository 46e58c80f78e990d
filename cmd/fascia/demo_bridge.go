package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/fascia-edge/fascia/bridge"
	"github.com/fascia-edge/fascia/config"
)

// demoLink is the link that --bridge adds to the demo's configuration: every value
// of the car, gathered for two seconds in a form that anybody can read, and a way
// back for commands.
const demoLink = `
links:
  - name: cloud
    url: %s
    rules:
      - {name: values, direction: up, local: "vss/#", remote: "dt/demo/car/${vin}/vss", qos: 1, batch: {every: 2s, format: json}}
      - {name: commands, direction: down, remote: "cmd/demo/car/${vin}/+", local: "cmd/demo/car/${vin}/${1}", qos: 1}
`

// demoBridge is the section "bridge" with a link to that address, without one if it
// is empty.
func demoBridge(address string) (bridge.Config, error) {
	var c bridge.Config
	if address == "" {
		return c, nil
	}
	_, err := config.Decode("--bridge", fmt.Appendf(nil, demoLink, quote(address)), &c)
	var problems config.Errors
	if errors.As(err, &problems) {
		return c, usagef("--bridge: %s", problems[0].Message)
	}
	return c, err
}

// quote is a text as YAML in which nothing is filled in.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// demoBridgeText tells how to see what goes over the links.
func demoBridgeText(c bridge.Config) string {
	var b strings.Builder
	for _, l := range c.Links {
		host := ""
		if u, err := url.Parse(l.URL); err == nil {
			host = " -h " + u.Hostname()
			if u.Port() != "" {
				host += " -p " + u.Port()
			}
		}
		fmt.Fprintf(&b, "\nIts values go to %s in batches. Watch them there:\n\n  mosquitto_sub%s -t 'dt/demo/#' -v\n", l.URL, host)
	}
	return b.String()
}
