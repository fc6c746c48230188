package lossmeter

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// Option sets up a client.
type Option func(*config) error

type config struct {
	tls        *tls.Config // nil for a plain connection
	timeout    time.Duration
	unaryBytes int
	dial       []grpc.DialOption
}

// WithTLS secures the connection: by the authorities that the system trusts if settings is nil.
func WithTLS(settings *tls.Config) Option {
	return func(c *config) error {
		c.secure()
		if settings != nil {
			c.tls = settings.Clone()
		}
		return nil
	}
}

// WithCAFile secures the connection and trusts the authorities of a PEM file in place of the
// system's.
func WithCAFile(path string) Option {
	return func(c *config) error {
		pem, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("lossmeter: %w", err)
		}
		authorities := x509.NewCertPool()
		if !authorities.AppendCertsFromPEM(pem) {
			return fmt.Errorf("lossmeter: no certificate in %s", path)
		}
		c.secure()
		c.tls.RootCAs = authorities
		return nil
	}
}

// WithCertificateFiles secures the connection and shows the service a certificate, from two PEM
// files.
func WithCertificateFiles(certificate, key string) Option {
	return func(c *config) error {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return fmt.Errorf("lossmeter: %w", err)
		}
		c.secure()
		c.tls.Certificates = append(c.tls.Certificates, pair)
		return nil
	}
}

func (c *config) secure() {
	if c.tls == nil {
		c.tls = &tls.Config{}
	}
}

// WithToken sends a bearer token with every call. Use it over TLS: a plain connection shows it to
// everyone on the way.
func WithToken(token string) Option {
	return WithDialOptions(grpc.WithPerRPCCredentials(bearer(token)))
}

type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return false }

var _ credentials.PerRPCCredentials = bearer("")

// WithTimeout bounds calls whose context has no deadline, in place of a minute; 0 for no bound.
// [Client.EvaluateStream] takes as long as its batches do.
func WithTimeout(timeout time.Duration) Option {
	return func(c *config) error {
		c.timeout = timeout
		return nil
	}
}

// WithUnaryBytes is the size of the largest batch that is sent as one message, in place of 4 MiB.
func WithUnaryBytes(most int) Option {
	return func(c *config) error {
		c.unaryBytes = most
		return nil
	}
}

// WithDialOptions passes settings to gRPC, such as interceptors. They come after those of this
// package.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(c *config) error {
		c.dial = append(c.dial, options...)
		return nil
	}
}
