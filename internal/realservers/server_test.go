//go:build linux

package realservers

import (
	"bytes"
	"fmt"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nobody is whom the servers run as where the tests run as root: neither needs
// root, and so it is the same for all.
const nobody = 65534

// patience bounds every wait for a server. It is generous, since one that works
// is never waited for so long.
const patience = 30 * time.Second

// unpacked is the directory that .ci/servers has filled.
func unpacked(t *testing.T) string {
	dir := os.Getenv("STRICTMX_SERVERS")
	if dir == "" {
		const enable = "there is no Postfix and no Exim: run .ci/servers DIR (on Debian), and set STRICTMX_SERVERS=DIR"
		if os.Getenv("CI") == "true" {
			t.Fatal(enable)
		}
		t.Skip(enable)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// server is a mail server of somebody else's making.
type server struct {
	t       *testing.T
	cmd     *exec.Cmd
	dir     string        // all it has
	program string        // where the unpacked files are
	name    string        // what it calls itself
	exited  chan struct{} // closed when the process has ended
	port    string        // on the address of each host
	maildir string
	log     string
	since   int // how much of the log is of senders before this one
	words   words
}

// words are what a server's log says of a connection: regular expressions, in
// which CLIENT stands for the client's address and port.
type words struct {
	connected string // a connection has come
	tls       string // a handshake was completed, with TLS 1.3
	mailed    string // it has ended, and a message came through it
	unmailed  string // it has ended, and no MAIL was ever said
}

// newServer makes room for a server: its directory, the accounts it believes in,
// and a file for the certificate of each host.
func newServer(t *testing.T, name string, hosts []host) *server {
	s := &server{t: t, program: unpacked(t), name: name, exited: make(chan struct{}), port: freePort(t, hosts)}
	dir, err := os.MkdirTemp("", "strictmx") // not t.TempDir, where only its owner gets in
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s.dir = dir
	s.own(dir, 0o755)
	s.write("passwd", fmt.Sprintf("root:x:0:0::/:/bin/false\npostfix:x:%[1]d:%[2]d::/:/bin/false\n"+
		"Debian-exim:x:%[1]d:%[2]d::/:/bin/false\nnobody:x:65533:65533::/:/bin/false\n", s.uid(), s.gid()))
	s.write("group", fmt.Sprintf("root:x:0:\npostfix:x:%[1]d:\nDebian-exim:x:%[1]d:\n"+
		"postdrop:x:65532:\nnogroup:x:65533:\n", s.gid()))
	s.mkdir("certificates")
	for _, h := range hosts {
		if h.cert.PrivateKey != nil {
			s.write("certificates/"+h.ip+".pem", pemOf(t, h.cert))
		}
	}
	return s
}

func (s *server) uid() int {
	if uid := os.Getuid(); uid != 0 {
		return uid
	}
	return nobody
}

func (s *server) gid() int {
	if os.Getuid() != 0 {
		return os.Getgid()
	}
	return nobody
}

// own gives a file to the server.
func (s *server) own(name string, mode os.FileMode) {
	s.t.Helper()
	if err := os.Chmod(name, mode); err != nil {
		s.t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(name, s.uid(), s.gid()); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *server) mkdir(name string) {
	s.t.Helper()
	if err := os.Mkdir(s.path(name), 0o700); err != nil {
		s.t.Fatal(err)
	}
	s.own(s.path(name), 0o700)
}

// write makes a file, with {dir}, {program}, {port}, {name}, {uid} and {gid} filled in.
func (s *server) write(name, text string) {
	s.t.Helper()
	text = strings.NewReplacer("{dir}", s.dir, "{program}", s.program, "{port}", s.port, "{name}", s.name,
		"{uid}", strconv.Itoa(s.uid()), "{gid}", strconv.Itoa(s.gid())).Replace(text)
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.own(s.path(name), 0o600)
	long := time.Now().Add(-time.Hour) // Postfix waits until its configuration has cooled down
	if err := os.Chtimes(s.path(name), long, long); err != nil {
		s.t.Fatal(err)
	}
}

// library finds a file or folder of the unpacked libraries.
func (s *server) library(pattern string) []string {
	var found []string
	for _, dir := range []string{"usr/lib", "lib"} {
		names, err := filepath.Glob(filepath.Join(s.program, dir, pattern))
		if err != nil {
			s.t.Fatal(err)
		}
		found = append(found, names...)
	}
	return found
}

// environment has the server find its libraries, and its accounts in our files
// instead of the machine's. With root, it takes itself for the superuser as well.
func (s *server) environment(root bool) []string {
	s.t.Helper()
	wrappers := s.library("*-linux-*/libnss_wrapper.so")
	env := []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "NSS_WRAPPER_PASSWD=" + s.path("passwd"), "NSS_WRAPPER_GROUP=" + s.path("group")}
	if root {
		wrappers = append(wrappers, s.library("*-linux-*/libuid_wrapper.so")...)
		env = append(env, "UID_WRAPPER=1", "UID_WRAPPER_ROOT=1")
	}
	libraries := append(s.library("*-linux-*"), s.library("postfix")...)
	if len(wrappers) == 0 {
		s.t.Fatalf("%s holds no servers: fill it with .ci/servers", s.program)
	}
	return append(env, "LD_LIBRARY_PATH="+strings.Join(libraries, ":"), "LD_PRELOAD="+strings.Join(wrappers, " "))
}

// start starts the server and waits until it listens everywhere. It is stopped
// when the test ends.
func (s *server) start(hosts []host, env []string, program string, args ...string) {
	s.t.Helper()
	var output bytes.Buffer
	s.cmd = exec.Command(filepath.Join(s.program, program), args...)
	s.cmd.Dir, s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = s.dir, env, &output, &output
	s.cmd.WaitDelay = patience // for children that keep the output open
	s.cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true,            // its children are found by it
		Pdeathsig: syscall.SIGTERM, // should the tests die
	}
	if os.Getuid() == 0 {
		s.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // it is this thread whose end Pdeathsig means
		err := s.cmd.Start()
		started <- err
		if err == nil {
			s.cmd.Wait()
		}
		close(s.exited)
	}()
	if err := <-started; err != nil {
		s.t.Fatalf("%v (as user %d, who must be let into %s)", err, s.uid(), s.program)
	}
	s.t.Cleanup(func() {
		s.stop()
		if s.t.Failed() {
			s.t.Logf("%s said:\n%s%s", s.name, output.Bytes(), s.read())
		}
	})
	for _, h := range hosts {
		s.await(h.name+" to listen", func() bool {
			c, err := net.Dial("tcp", net.JoinHostPort(h.ip, s.port))
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
}

// stop ends the server and all it has started.
func (s *server) stop() {
	group := -s.cmd.Process.Pid
	syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(patience):
		s.t.Errorf("%s does not stop when it is told to", s.name)
	}
	syscall.Kill(group, syscall.SIGKILL) // what a server left behind that was in the middle of something
	<-s.exited
}

// await waits for something another process does, of which it does not tell.
func (s *server) await(what string, done func() bool) {
	s.t.Helper()
	deadline := time.After(patience)
	for !done() {
		select {
		case <-s.exited:
			s.t.Fatalf("waiting for %s: %s has ended", what, s.name)
		case <-deadline:
			s.t.Fatalf("waited for %s for %v", what, patience)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// read returns the log.
func (s *server) read() []byte {
	b, err := os.ReadFile(s.log)
	if err != nil && !os.IsNotExist(err) {
		s.t.Error(err)
	}
	return b
}

// says counts the lines of the log with one of the server's words about a client,
// since the last sender was made: one before it may have had the same port, to
// another of the server's addresses.
func (s *server) says(pattern, client string) int {
	addr, port, _ := net.SplitHostPort(client)
	expr := strings.ReplaceAll(pattern, "CLIENT", regexp.QuoteMeta("["+addr+"]:"+port))
	return len(regexp.MustCompile(expr).FindAll(s.read()[s.since:], -1))
}

// find returns the message whose Subject is token, or nil.
func (s *server) find(token string) *mail.Message {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.maildir, "new", "*"))
	if err != nil {
		s.t.Fatal(err)
	}
	var found *mail.Message
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			s.t.Fatal(err)
		}
		m, err := mail.ReadMessage(bytes.NewReader(b))
		if err != nil {
			s.t.Fatalf("in the mailbox: %v\n%.1000s", err, b)
		}
		if m.Header.Get("Subject") != token {
			continue
		}
		if found != nil {
			s.t.Errorf("%q has arrived more than once", token)
		}
		found = m
	}
	return found
}

// arrived waits for the message.
func (s *server) arrived(token string) *mail.Message {
	s.t.Helper()
	var m *mail.Message
	s.await("the message "+token, func() bool {
		m = s.find(token)
		return m != nil
	})
	return m
}

// freePort is a port that is free on the address of each host.
func freePort(t *testing.T, hosts []host) string {
	for range 100 {
		port, ok := "0", true
		for _, h := range hosts {
			l, err := net.Listen("tcp", net.JoinHostPort(h.ip, port))
			if err != nil {
				ok = false
				break
			}
			defer l.Close()
			_, port, _ = net.SplitHostPort(l.Addr().String())
		}
		if ok {
			return port
		}
	}
	t.Fatal("there is no free port")
	return ""
}
