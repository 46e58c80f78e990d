package gateway

import (
	"errors"
	"net/http"

	"github.com/fascia-edge/fascia/edgebroker"
)

// Purged is what a purge of a session on the control socket answers.
type Purged struct {
	Messages int `json:"messages"` // that were not acknowledged, and are lost
}

// handleSessions adds what the control socket does with sessions:
//
//	GET  /v1/sessions                       every session
//	POST /v1/sessions/kick?client=ID        ends the connection
//	POST /v1/sessions/purge?client=ID       ends the session; with absent=true only if its client is not connected
//
// A session that is not there is answered with 404, one that is in the wrong
// state with 409.
func (g *Gateway) handleSessions(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/sessions", func(w http.ResponseWriter, _ *http.Request) {
		list := g.broker.Clients()
		if list == nil {
			list = []edgebroker.ClientInfo{} // [] and not null
		}
		writeJSON(w, list)
	})
	mux.HandleFunc("POST /v1/sessions/kick", func(w http.ResponseWriter, r *http.Request) {
		client := r.FormValue("client")
		if err := g.broker.Kick(client); err != nil {
			refuseSession(w, err)
			return
		}
		g.log.Info("client kicked by the operator", "client", client)
		writeJSON(w, struct{}{})
	})
	mux.HandleFunc("POST /v1/sessions/purge", func(w http.ResponseWriter, r *http.Request) {
		client := r.FormValue("client")
		purge := g.broker.Purge
		if r.FormValue("absent") == "true" {
			purge = g.broker.PurgeAbsent
		}
		messages, err := purge(client)
		if err != nil {
			refuseSession(w, err)
			return
		}
		g.log.Info("session purged by the operator", "client", client, "messages", messages)
		writeJSON(w, Purged{messages})
	})
}

func refuseSession(w http.ResponseWriter, err error) {
	status := http.StatusConflict
	if errors.Is(err, edgebroker.ErrNoSession) {
		status = http.StatusNotFound
	}
	http.Error(w, err.Error(), status)
}
