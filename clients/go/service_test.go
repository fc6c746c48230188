package lossmeter_test

import (
	"os"
	"testing"

	"github.com/lossmeter/lossmeter/clients/go"
)

// service is where a service runs that all suites share; empty where none does.
var service = os.Getenv("LOSSMETER_GRPC")

// serviceClient is a client of the shared service.
func serviceClient(t *testing.T, options ...lossmeter.Option) *lossmeter.Client {
	t.Helper()
	if service == "" {
		t.Skip("LOSSMETER_GRPC names no service")
	}
	return clientOf(t, service, options...)
}

func clientOf(t *testing.T, target string, options ...lossmeter.Option) *lossmeter.Client {
	t.Helper()
	client, err := lossmeter.NewClient(target, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}
