//go:build unix

package collect

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// longEnough is for what must happen, on the slowest of machines.
const longEnough = time.Minute

// await waits until something has happened.
func await(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(longEnough); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", longEnough, what)
		}
	}
}

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
	if err := d.conn.SetReadDeadline(time.Now().Add(longEnough)); err != nil {
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
	await(t, "no session waits", func() bool { return d.Stats().Waiting == 0 })
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

// The daemon may go, leave its socket behind or take it along, and come again: the
// same Run goes on.
func TestDaemonRestarts(t *testing.T) {
	path := socketPath(t)
	d := &Datagram{Path: path, Resolver: txtFunc(wanting), Timeout: time.Second}
	runDatagram(t, d)
	for i, left := range []bool{true, false} {
		daemon := startDaemon(t, path)
		observe(d, "x.test")
		if got := daemon.read(); got.domain != "x.test" || got.record != "v=TLSRPTv1;rua=mailto:tls@x.test" {
			t.Errorf("told %+v", got)
		}
		daemon.conn.Close() // which leaves the socket's name behind
		if !left {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		observe(d, "x.test")
		if st := settled(t, d); st.Sent != uint64(i)+1 || st.Failed != uint64(i)+1 {
			t.Errorf("after its death: %+v", st)
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	daemon := startDaemon(t, path)
	observe(d, "y.test")
	if got := daemon.read(); got.domain != "y.test" {
		t.Errorf("it is back, and is told of %q", got.domain)
	}
}

// However short Timeout is, and whatever keeps this process from running: a daemon
// that is there is told.
func TestDaemonIsAlwaysAsked(t *testing.T) {
	d := &Datagram{Path: socketPath(t), Resolver: txtFunc(wanting), Timeout: time.Nanosecond}
	daemon := startDaemon(t, d.Path)
	runDatagram(t, d)
	for range 100 {
		observe(d, "x.test")
		daemon.read()
	}
	if st := settled(t, d); st.Sent != 100 {
		t.Errorf("%+v", st)
	}
}

// A daemon that is restarted within Timeout misses nothing.
func TestDaemonRestartsInTime(t *testing.T) {
	path := socketPath(t)
	d := &Datagram{Path: path, Resolver: txtFunc(wanting), Timeout: longEnough}
	runDatagram(t, d)
	observe(d, "x.test", "x.test", "x.test")
	await(t, "it is about to send", func() bool { return d.records.cache.Len() > 0 })
	daemon := startDaemon(t, path)
	for range 3 {
		daemon.read()
	}
	if st := settled(t, d); st.Sent != 3 {
		t.Errorf("%+v", st)
	}
}

// fillQueue sends to a daemon until its queue is full, and returns how many it has got.
func fillQueue(t *testing.T, path string) int {
	t.Helper()
	e := session("x.test", enforce("x.test"))
	b := appendDatagram(nil, &e, plainRecord, false)
	for sent := 0; ; {
		// Each has a buffer of its own, which may be full before the daemon's is.
		out, err := (&Datagram{Path: path}).openSocket()
		if err != nil {
			t.Fatal(err)
		}
		before := sent
		for err = out.send(b); err == nil; err = out.send(b) {
			sent++
		}
		if t.Cleanup(func() { out.Close() }); err != errFull {
			t.Fatal(err)
		}
		if sent == before {
			return sent
		}
	}
}

// What a daemon that reads nothing cannot take is lost; when it reads again, it
// gets what is new.
func TestDaemonHangs(t *testing.T) {
	d := &Datagram{Path: socketPath(t), Resolver: txtFunc(wanting), Timeout: time.Second}
	daemon := startDaemon(t, d.Path)
	queued := fillQueue(t, d.Path)
	if queued == 0 {
		t.Fatal("the queue has no room at all")
	}
	runDatagram(t, d)
	observe(d, "x.test")
	if st := settled(t, d); st.Busy != 1 {
		t.Errorf("it hangs: %+v", st)
	}
	for range queued {
		daemon.read()
	}
	observe(d, "y.test")
	if got := daemon.read(); got.domain != "y.test" {
		t.Errorf("it is back, and is told of %q", got.domain)
	}
}

// The queue of the kernel is short; a daemon that reads gets all there is.
func TestDaemonThatReadsMissesNothing(t *testing.T) {
	d := &Datagram{Path: socketPath(t), Resolver: txtFunc(wanting), Timeout: longEnough}
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
	d := &Datagram{Path: socketPath(t), Resolver: txtFunc(wanting), Timeout: longEnough}
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
	d := &Datagram{Path: filepath.Join(dir, "d.sock"), Resolver: txtFunc(wanting), Timeout: longEnough}
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
