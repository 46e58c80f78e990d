package bridge

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/fascia-edge/fascia/bridge/rule"
)

// findCircles looks for messages that would go round over several links to the same
// far side. sets are the rules of the links, nil for one that could not be compiled.
func findCircles(links []LinkConfig, sets []*rule.Set) []rule.Problem {
	var list []rule.Linked
	var index []int // in links
	for i := range links {
		if sets[i] != nil {
			list, index = append(list, rule.Linked{Addresses: links[i].addresses(), Set: sets[i]}), append(index, i)
		}
	}
	problems := rule.CheckLoops(list)
	for i := range problems {
		problems[i].Path[0] = index[problems[i].Path[0].(int)]
	}
	return problems
}

// circlesError is findCircles as an error.
func circlesError(links []LinkConfig, sets []*rule.Set) error {
	var found []error
	for _, p := range findCircles(links, sets) {
		found = append(found, fmt.Errorf("link %q: %s", links[p.Path[0].(int)].Name, p.Text))
	}
	return errors.Join(found...)
}

// addresses are the host and port of each endpoint.
func (c *LinkConfig) addresses() (list []string) {
	ports := map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443"}
	for _, text := range append([]string{c.URL}, c.Endpoints...) {
		u, err := url.Parse(text)
		if err != nil {
			continue // Validate has told of it
		}
		port := u.Port()
		if port == "" {
			port = ports[u.Scheme]
		}
		list = append(list, strings.ToLower(u.Hostname())+":"+port)
	}
	return list
}
