//go:build unix

package collect

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// daemon is a strict collector on a real socket.
type daemon struct {
	t    *testing.T
	conn *net.UnixConn
}

func startDaemon(t *testing.T, path string) *daemon {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &daemon{t, conn}
}

// read returns the next datagram.
func (d *daemon) read() told {
	d.t.Helper()
	if err := d.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		d.t.Fatal(err)
	}
	b := make([]byte, 1<<20)
	n, err := d.conn.Read(b)
	if err != nil {
		d.t.Fatalf("no datagram: %v", err)
	}
	read, err := readDatagram(b[:n])
	if err != nil {
		d.t.Fatalf("the daemon dies: %v: %s", err, b[:n])
	}
	return read
}

// settled waits until nothing waits any more.
func settled(t *testing.T, d *Datagram) DatagramStats {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); d.Stats().Waiting > 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("sessions still wait: %+v", d.Stats())
		}
	}
	return d.Stats()
}

// runDatagram runs d on a real socket until the test ends.
func runDatagram(t *testing.T, d *Datagram) {
	done := make(chan error)
	go func() { done <- d.Run(t.Context()) }()
	t.Cleanup(func() { // t's context has ended
		if err := <-done; err != t.Context().Err() {
			t.Errorf("Run ended with %v", err)
		}
	})
}

func socketPath(t *testing.T) string {
	// t.TempDir may be longer than the path of a socket may be.
	dir, err := os.MkdirTemp("", "tlsrpt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "d.sock")
}

// The daemon may come late, go, leave its socket behind or take it along, and
// come again: the same Run goes on.
func TestDaemonRestarts(t *testing.T) {
	path := socketPath(t)
	d := &Datagram{Path: path, Resolver: txtFunc(wanting), Timeout: 2 * time.Millisecond}
	runDatagram(t, d)
	observe(d, "before.test")
	if st := settled(t, d); st.Failed != 1 {
		t.Errorf("without a daemon: %+v", st)
	}
	for i, left := range []bool{true, false, true} {
		daemon := startDaemon(t, path)
		observe(d, "x.test")
		if got := daemon.read(); got.domain != "x.test" || got.record != "v=TLSRPTv1;rua=mailto:tls@x.test" {
			t.Errorf("told %+v", got)
		}
		daemon.conn.Close() // which leaves the socket's name behind
		if !left {
			os.Remove(path)
		}
		observe(d, "x.test")
		if st := settled(t, d); st.Sent != uint64(i)+1 || st.Failed != uint64(i)+2 {
			t.Errorf("after its death: %+v", st)
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// A daemon that is restarted within Timeout misses nothing.
func TestDaemonRestartsInTime(t *testing.T) {
	path := socketPath(t)
	d := &Datagram{Path: path, Resolver: txtFunc(wanting), Timeout: 10 * time.Second}
	runDatagram(t, d)
	observe(d, "x.test", "x.test", "x.test")
	for d.records.cache.Len() == 0 { // until it is about to send
		runtime.Gosched()
	}
	daemon := startDaemon(t, path)
	for range 3 {
		daemon.read()
	}
	if st := settled(t, d); st.Sent != 3 {
		t.Errorf("%+v", st)
	}
}

// A daemon that reads nothing costs no more than the datagrams themselves; when
// it reads again, it gets what is new.
func TestDaemonHangs(t *testing.T) {
	d := &Datagram{Path: socketPath(t), Resolver: txtFunc(wanting), Timeout: time.Millisecond}
	daemon := startDaemon(t, d.Path)
	runDatagram(t, d)
	const sessions = 600 // more than any kernel queues
	for range sessions {
		observe(d, "x.test")
	}
	st := settled(t, d)
	if st.Sent == 0 || st.Busy == 0 || st.Sent+st.Busy+st.Failed+st.Overflow != sessions {
		t.Errorf("it hangs: %+v", st)
	}
	for range st.Sent {
		daemon.read()
	}
	observe(d, "y.test")
	if got := daemon.read(); got.domain != "y.test" {
		t.Errorf("it is back, and is told of %q", got.domain)
	}
}

// The queue of the kernel is short; a daemon that reads gets all there is.
func TestDaemonThatReadsMissesNothing(t *testing.T) {
	d := &Datagram{Path: socketPath(t), Resolver: txtFunc(wanting), Timeout: 10 * time.Second}
	daemon := startDaemon(t, d.Path)
	runDatagram(t, d)
	observe(d, "x.test") // from then on its record is known
	daemon.read()
	const sessions = 500
	p := enforce("x.test")
	for range sessions {
		d.Observe(session("x.test", p, selfSigned))
	}
	for range sessions {
		if got := daemon.read(); got.policies[0].details[0].code != 203 {
			t.Fatalf("told %+v", got)
		}
	}
	if st := settled(t, d); st.Sent != sessions+1 {
		t.Errorf("%+v", st)
	}
}

// The largest datagram that there is fits.
func TestDaemonTakesTheLargestDatagram(t *testing.T) {
	d := &Datagram{Path: socketPath(t), Resolver: txtFunc(wanting), Timeout: 10 * time.Second}
	daemon := startDaemon(t, d.Path)
	if err := daemon.conn.SetReadBuffer(1 << 20); err != nil {
		t.Fatal(err)
	}
	runDatagram(t, d)
	d.Observe(monster())
	if got := daemon.read(); len(got.policies) != maxDatagramPolicies {
		t.Errorf("%d policies", len(got.policies))
	}
}

func BenchmarkDatagram(b *testing.B) {
	dir := b.TempDir()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "d.sock"), Net: "unixgram"})
	if err != nil {
		b.Skip(err)
	}
	defer conn.Close()
	go func() {
		buf := make([]byte, 1<<20)
		for {
			if _, err := conn.Read(buf); err != nil {
				return
			}
		}
	}()
	d := &Datagram{Path: filepath.Join(dir, "d.sock"), Resolver: txtFunc(wanting), Timeout: 10 * time.Second}
	d.open()
	if _, err := d.records.lookup(b.Context(), "x.test"); err != nil {
		b.Fatal(err)
	}
	s, err := d.openSocket()
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	w := newSender(d, s)
	e := session("x.test", enforce("x.test"), selfSigned)
	b.ReportAllocs()
	for b.Loop() {
		w.event(b.Context(), observed{e, time.Now()})
	}
	if st := d.Stats(); st.Busy+st.Failed > 0 {
		b.Errorf("%+v", st)
	}
}
