package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the page of the bridge shows can be copied.
func TestExamplesOfTheBridgePageAreValid(t *testing.T) {
	page, err := os.ReadFile("../docs/bridge.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```yaml\n")[1:]
	if len(blocks) < 4 {
		t.Fatalf("%d examples: the page has more", len(blocks))
	}
	for _, block := range blocks {
		block, _, _ = strings.Cut(unindented(block), "```")
		if strings.HasPrefix(block, "rules:") {
			block = "bridge:\n  links:\n    - name: cloud\n      url: mqtt://127.0.0.1\n      classes: [{name: urgent}, {name: normal}]\n      " +
				strings.ReplaceAll(strings.TrimSuffix(block, "\n"), "\n", "\n      ") + "\n"
		}
		if !strings.Contains(block, "vehicle:") {
			block = "vehicle: {vin: KMHGN4JE0FU000001, thing: KMHGN4JE0FU000001}\n" + block
		}
		if !strings.Contains(block, "broker:") {
			block += "broker:\n  listeners: [{name: local, address: \"127.0.0.1:1883\", auth: [anonymous]}]\n"
		}
		file := filepath.Join(t.TempDir(), "fascia.yaml")
		if err := os.WriteFile(file, []byte(block), 0o600); err != nil {
			t.Fatal(err)
		}
		warnings, err := Check(file)
		if err != nil {
			t.Errorf("%v in\n%s", err, block)
		}
		for _, w := range warnings {
			t.Errorf("%v in\n%s", w, block)
		}
	}
}

// unindented takes from each line the spaces that the first one has.
func unindented(block string) string {
	indent := block[:len(block)-len(strings.TrimLeft(block, " "))]
	return strings.TrimPrefix(strings.ReplaceAll("\n"+block, "\n"+indent, "\n"), "\n")
}
