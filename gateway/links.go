package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/fascia-edge/fascia/bridge"
)

// Moved is what a retry or purge of dead letters on the control socket answers.
type Moved struct {
	Messages int `json:"messages"`
}

// A page of dead letters ends with whichever comes first.
const (
	deadPageLetters = 500
	deadPageBytes   = 4 << 20 // of payloads
)

// longestLinkTest bounds a test of a link as a whole, whatever its steps may take.
const longestLinkTest = 2 * time.Minute

// handleLinks adds what the control socket does with the links of the bridge:
//
//	GET  /v1/links                                            every link
//	POST /v1/links/up                                         the network is there: all that are down try now
//	POST /v1/links/{name}/up                                  one of them
//	POST /v1/links/{name}/test                                connects once, beside the link
//	GET  /v1/links/{name}/dead?from=ID[&payload=true]         a page of its dead letters, oldest first; an empty one ends them
//	POST /v1/links/{name}/dead/retry?id=ID[&id=ID…]|all=true  puts them back into the spool
//	POST /v1/links/{name}/dead/purge?id=ID[&id=ID…]|all=true  drops them
//
// A link that is not there is answered with 404.
func (g *Gateway) handleLinks(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/links", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, g.linkStatus()) })
	mux.HandleFunc("POST /v1/links/up", func(w http.ResponseWriter, r *http.Request) { g.wakeLink(w, "") })
	mux.HandleFunc("POST /v1/links/{name}/up", func(w http.ResponseWriter, r *http.Request) { g.wakeLink(w, r.PathValue("name")) })
	mux.HandleFunc("POST /v1/links/{name}/test", g.testLink)
	mux.HandleFunc("GET /v1/links/{name}/dead", g.listDead)
	mux.HandleFunc("POST /v1/links/{name}/dead/retry", func(w http.ResponseWriter, r *http.Request) {
		g.moveDead(w, r, "put back into the spool", g.bridge.Retry)
	})
	mux.HandleFunc("POST /v1/links/{name}/dead/purge", func(w http.ResponseWriter, r *http.Request) {
		g.moveDead(w, r, "purged", g.bridge.Purge)
	})
}

// linkStatus has no links before the bridge is open. It is never nil: [] and not null.
func (g *Gateway) linkStatus() []bridge.LinkStatus {
	if !g.bridgeOpen.Load() {
		return []bridge.LinkStatus{}
	}
	return g.bridge.Status()
}

func (g *Gateway) wakeLink(w http.ResponseWriter, name string) {
	if err := g.bridge.Wake(name); err != nil {
		refuseLink(w, err)
		return
	}
	writeJSON(w, struct{}{})
}

func (g *Gateway) testLink(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), longestLinkTest)
	defer cancel()
	result, err := TestLink(ctx, g.Config(), r.PathValue("name"))
	if err != nil {
		refuseLink(w, err)
		return
	}
	writeJSON(w, result)
}

func (g *Gateway) listDead(w http.ResponseWriter, r *http.Request) {
	from, err := strconv.ParseUint(r.FormValue("from"), 10, 64)
	if err != nil && r.FormValue("from") != "" {
		http.Error(w, fmt.Sprintf("from=%.20q: want the number of a dead letter", r.FormValue("from")), http.StatusBadRequest)
		return
	}
	payload, bytes := r.FormValue("payload") == "true", 0
	letters := []bridge.DeadLetter{}
	err = g.bridge.Dead(r.PathValue("name"), from, func(d bridge.DeadLetter) bool {
		if !payload {
			d.Payload = nil
		}
		letters = append(letters, d)
		bytes += len(d.Payload)
		return len(letters) < deadPageLetters && bytes < deadPageBytes
	})
	if err != nil {
		refuseLink(w, err)
		return
	}
	writeJSON(w, letters)
}

// moveDead does with the dead letters that are asked for what move does.
func (g *Gateway) moveDead(w http.ResponseWriter, r *http.Request, done string, move func(name string, ids ...uint64) (int, error)) {
	name := r.PathValue("name")
	all := r.FormValue("all") == "true"
	var ids []uint64
	for _, text := range r.Form["id"] {
		id, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			http.Error(w, fmt.Sprintf("id=%.20q: want the number of a dead letter", text), http.StatusBadRequest)
			return
		}
		ids = append(ids, id)
	}
	if all == (len(ids) > 0) {
		http.Error(w, "want id=… or all=true", http.StatusBadRequest)
		return
	}
	messages, err := move(name, ids...)
	if err != nil {
		refuseLink(w, err)
		return
	}
	g.log.Info("dead letters "+done+" by the operator", "link", name, "messages", messages)
	writeJSON(w, Moved{messages})
}

func refuseLink(w http.ResponseWriter, err error) {
	status := http.StatusConflict
	if errors.Is(err, bridge.ErrNoLink) {
		status = http.StatusNotFound
	}
	http.Error(w, err.Error(), status)
}
