// Package democonfig holds the demo's configuration, DBC and mapping, so that
// `fascia demo` needs no file beside the binary.
package democonfig

import "embed"

// Names of the files in Files.
const (
	Config  = "fascia.yaml"
	DBC     = "vehicle.dbc"
	Mapping = "mapping.yaml"
)

// Files are the demo's files as they stand in this folder.
//
//go:embed fascia.yaml vehicle.dbc mapping.yaml
var Files embed.FS
