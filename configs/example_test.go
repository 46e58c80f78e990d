package configs_test

import (
	"testing"

	"github.com/fascia-edge/fascia/gateway"
)

func TestExamplesAreValid(t *testing.T) {
	for _, file := range []string{"example.yaml", "demo/fascia.yaml"} {
		_, document, err := gateway.Load(file)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, w := range document.Warnings() {
			t.Error(w)
		}
	}
}
