package tlsrpt_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	. "github.com/strictmx/strictmx/tlsrpt"
)

// What crypto/tls really returns, over TCP as mail has it.
func TestClassifyRealHandshakes(t *testing.T) { // TLS-22, AMB-44
	cert := serverCertificate(t)
	server := func(config *tls.Config) func(net.Conn) {
		config.Certificates = []tls.Certificate{cert}
		return func(c net.Conn) { _ = tls.Server(c, config).Handshake(); drain(c) }
	}
	hello := func(reply ...byte) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write(reply)
			drain(c)
		}
	}
	for _, tt := range []struct {
		name   string
		serve  func(net.Conn)
		client *tls.Config
		want   []Failure
	}{
		{"the server knows TLS 1.1 at most", server(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}), nil,
			[]Failure{{Type: ValidationFailure, Reason: "tls-alert-protocol-version"}}},
		{"the server has no cipher suite of ours", server(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}}), nil,
			[]Failure{{Type: ValidationFailure, Reason: "tls-alert-handshake-failure"}}},
		{"the server speaks another protocol over TLS", server(&tls.Config{NextProtos: []string{"smtp"}}), &tls.Config{NextProtos: []string{"other"}},
			[]Failure{{Type: ValidationFailure, Reason: "tls-alert-no-application-protocol"}}},
		{"the server takes up TLS 1.0 unasked", hello(serverHello(0x0301)...), nil,
			[]Failure{{Type: ValidationFailure, Reason: ReasonTLSVersion}}},
		{"the server takes up a cipher suite unasked", hello(serverHello(0x0303)...), &tls.Config{MaxVersion: tls.VersionTLS12},
			[]Failure{{Type: ValidationFailure, Reason: ReasonTLSCipher}}},
		{"the server goes on in clear", hello([]byte("454 4.7.0 TLS not available\r\n")...), nil,
			[]Failure{{Type: ValidationFailure, Reason: ReasonNotTLS}}},
		{"the server sends a record that cannot be", hello(22, 3, 3, 0xff, 0xff), nil,
			[]Failure{{Type: ValidationFailure, Reason: ReasonTLSBadRecord}}},
		{"the server sends an alert first", hello(21, 3, 3, 0, 2, 2, 80), nil,
			[]Failure{{Type: ValidationFailure, Reason: "tls-alert-internal-error"}}},
		{"the server sends a message that is out of place", hello(22, 3, 3, 0, 4, 14, 0, 0, 0), nil,
			[]Failure{{Type: ValidationFailure, Reason: ReasonTLSProtocol}}},
		{"the server closes", func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }, nil,
			[]Failure{{Type: ValidationFailure, Reason: ReasonHandshakeEOF}}},
		{"the server resets", func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)); _ = c.(*net.TCPConn).SetLinger(0) }, nil,
			[]Failure{{Type: ValidationFailure, Reason: ReasonHandshakeReset}}},
		{"the server says nothing", drain, nil,
			[]Failure{{Type: ValidationFailure, Reason: ReasonHandshakeTimeout}}},
		{"the certificate is of nobody we know", server(&tls.Config{}), &tls.Config{ServerName: "mx.test", RootCAs: x509.NewCertPool()},
			[]Failure{{Type: CertificateNotTrusted, Reason: ReasonSelfSigned}}},
		{"the certificate is for another name", server(&tls.Config{}), &tls.Config{ServerName: "other.test", RootCAs: pool(cert)},
			[]Failure{{Type: CertificateHostMismatch}}},
		{"our own configuration cannot work", drain, &tls.Config{MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true},
			[]Failure{{Type: ValidationFailure, Reason: ReasonLocalConfig}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.client == nil {
				tt.client = &tls.Config{}
			}
			if tt.client.ServerName == "" {
				tt.client.InsecureSkipVerify = true
			}
			err := handshake(t, tt.serve, tt.client)
			if got := Classify(err); !slices.Equal(got, tt.want) {
				t.Errorf("Classify(%v) = %v, want %v", err, got, tt.want)
			}
		})
	}
}

// handshake returns the error of a TLS client with a server on loopback.
func handshake(t *testing.T, serve func(net.Conn), config *tls.Config) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		serve(c)
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout(t))
	defer cancel()
	err = tls.Client(conn, config).HandshakeContext(ctx)
	conn.Close()
	l.Close()
	<-done
	if err == nil {
		t.Fatal("the handshake succeeded")
	}
	return err
}

// timeout is short where the test waits for it to pass.
func timeout(t *testing.T) time.Duration {
	if t.Name() == "TestClassifyRealHandshakes/the_server_says_nothing" {
		return 50 * time.Millisecond
	}
	return 10 * time.Second
}

func drain(c net.Conn) {
	buf := make([]byte, 4096)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

// serverHello is a ServerHello of a version that chooses TLS_NULL_WITH_NULL_NULL.
func serverHello(version uint16) []byte {
	body := []byte{byte(version >> 8), byte(version)}
	body = append(body, make([]byte, 32)...) // random
	body = append(body, 0, 0, 0, 0)          // no session, cipher suite 0, no compression
	message := append([]byte{2, 0, 0, byte(len(body))}, body...)
	return append([]byte{22, 3, 3, 0, byte(len(message))}, message...)
}

func serverCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.test"}, DNSNames: []string{"mx.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func pool(cert tls.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(cert.Leaf)
	return p
}
