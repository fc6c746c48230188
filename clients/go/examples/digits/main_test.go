package main

import (
	"os"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	service := os.Getenv("LOSSMETER_GRPC")
	if service == "" {
		t.Skip("LOSSMETER_GRPC names no service")
	}
	var out strings.Builder
	if err := run(t.Context(), service, "../../../../demo/digits.csv", &out); err != nil {
		t.Fatal(err)
	}
	for title, value := range map[string]string{
		"log loss":                "0.203314249",
		"log loss, worst sample":  "3.128626649",
		"log loss, median sample": "0.086443114",
		"log loss of Keras":       "0.203314249",
		"perplexity":              "1.225457506",
	} {
		if !strings.Contains("\n"+out.String(), "\n"+title+" ") || !strings.Contains(out.String(), value) {
			t.Errorf("no %s of %s in\n%s", title, value, out.String())
		}
	}
}

func TestFilesThatAreNone(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":         "",
		"no column":       "target,p0\n1,0.5\n",
		"no number":       "target,p0,p1,p2,p3,p4,p5,p6,p7,p8,p9\n1,a,0,0,0,0,0,0,0,0,0\n",
		"no target":       "p0,p1,p2,p3,p4,p5,p6,p7,p8,p9\n1,0,0,0,0,0,0,0,0,0\n",
		"columns too few": "target,p0\n1\n",
	} {
		if _, err := read(strings.NewReader(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
