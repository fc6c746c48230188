package lossmeter_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/lossmeter/lossmeter/clients/go/lossmeterpb"
)

// fake is a service that answers as a test wants, and counts what it is asked.
type fake struct {
	pb.UnimplementedLossServiceServer
	evaluate func(context.Context, *pb.EvaluateRequest) (*pb.EvaluateResponse, error)
	stream   func(pb.LossService_EvaluateStreamServer) (*pb.EvaluateResponse, error)
	whole    atomic.Int64 // calls of Evaluate
	streamed atomic.Int64 // calls of EvaluateStream
}

func (f *fake) Evaluate(
	ctx context.Context, request *pb.EvaluateRequest,
) (*pb.EvaluateResponse, error) {
	f.whole.Add(1)
	return f.evaluate(ctx, request)
}

func (f *fake) EvaluateStream(stream pb.LossService_EvaluateStreamServer) error {
	f.streamed.Add(1)
	answer, err := f.stream(stream)
	if err != nil {
		return err
	}
	return stream.SendAndClose(answer)
}

// start runs the service until the test ends, and tells where.
func (f *fake) start(t *testing.T, options ...grpc.ServerOption) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(append(options, grpc.MaxRecvMsgSize(math.MaxInt))...)
	pb.RegisterLossServiceServer(server, f)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

// always answers a number.
func always(
	value float64,
) func(context.Context, *pb.EvaluateRequest) (*pb.EvaluateResponse, error) {
	return func(context.Context, *pb.EvaluateRequest) (*pb.EvaluateResponse, error) {
		return scalar(value), nil
	}
}

// allMessages reads a stream to its end.
func allMessages(
	stream pb.LossService_EvaluateStreamServer,
) (read []*pb.EvaluateStreamRequest, err error) {
	for {
		message, err := stream.Recv()
		if err == io.EOF {
			return read, nil
		}
		if err != nil {
			return nil, err
		}
		read = append(read, message)
	}
}

// refuse is a refusal as the service sends it.
func refuse(code codes.Code, info *errdetails.ErrorInfo, more ...protoadapt.MessageV1) error {
	info.Domain = "lossmeter"
	details := append([]protoadapt.MessageV1{protoadapt.MessageV1Of(info)}, more...)
	told, err := status.New(code, "the detail").WithDetails(details...)
	if err != nil {
		panic(err)
	}
	return told.Err()
}

func overloaded() error {
	retry := &errdetails.RetryInfo{RetryDelay: durationpb.New(20 * time.Millisecond)}
	return refuse(codes.ResourceExhausted, &errdetails.ErrorInfo{Reason: "OVERLOADED"},
		protoadapt.MessageV1Of(retry))
}

// certificate writes a certificate for 127.0.0.1 that signs itself, and its key, and serves by it.
func certificate(t *testing.T) (certificate, key string, secured *tls.Config) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate = filepath.Join(t.TempDir(), "certificate.pem")
	key = filepath.Join(t.TempDir(), "key.pem")
	for path, block := range map[string]*pem.Block{
		certificate: {Type: "CERTIFICATE", Bytes: signed},
		key:         {Type: "PRIVATE KEY", Bytes: bare},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	authorities := x509.NewCertPool()
	authorities.AddCert(pair.Leaf)
	return certificate, key, &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: authorities,
	}
}

func withTLS(config *tls.Config) grpc.ServerOption {
	return grpc.Creds(credentials.NewTLS(config))
}
