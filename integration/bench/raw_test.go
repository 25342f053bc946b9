package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// What is measured against reads the columns that the store reads.
func TestRawReadsWhatTheStoreReads(t *testing.T) {
	for file, name := range map[string]string{"session.go": "sessionColumns", "user.go": "liveColumns"} {
		text, err := os.ReadFile("../../store/" + file)
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`const ` + name + ` = "([^"]+)"`).FindSubmatch(text)
		if m == nil {
			t.Fatalf("store/%s has no %s", file, name)
		}
		if !strings.Contains(rawFind, " "+string(m[1])+",") {
			t.Errorf("the raw statement does not read %s of the store, %s", name, m[1])
		}
	}
}
