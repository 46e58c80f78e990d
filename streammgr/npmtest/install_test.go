package npmtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPackagesCanBeRequiredFromAnywhere(t *testing.T) {
	script := filepath.Join(t.TempDir(), "require.js")
	if err := os.WriteFile(script, []byte(`
		const { StreamManagerClient } = require("aws-greengrass-core-sdk/stream-manager");
		console.log(typeof StreamManagerClient);
	`), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := Script(t, script).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "function" {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestProgramsAreThere(t *testing.T) {
	for _, program := range []string{"kinesalite", "kinesis-local", "s3rver"} {
		if _, err := os.Stat(filepath.Join(Folder(t), "node_modules", ".bin", program)); err != nil {
			t.Error(err)
		}
	}
}
