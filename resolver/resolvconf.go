package resolver

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	defaultTimeout  = 5 * time.Second // resolv.conf(5), RES_TIMEOUT
	defaultAttempts = 2               // RES_DFLRETRY
	maxTimeout      = 30 * time.Second
	maxAttempts     = 5
	maxServers      = 3 // MAXNS
	// recheck is how long resolv.conf is taken to be unchanged.
	recheck = 5 * time.Second
)

// server is one recursive resolver.
type server struct {
	addr    netip.AddrPort
	trusted bool // its AD bit is believed
}

// config is what resolv.conf says, or the fields of Client.
type config struct {
	servers  []server
	timeout  time.Duration // of one try
	attempts int           // tries of each server
}

// sysConfig is resolv.conf as last read.
type sysConfig struct {
	config
	checked time.Time // when the file was last looked at
	stamp   string    // its modification time and size then
}

// config returns what to ask, and how. Fields that are set win.
func (c *Client) config() (config, error) {
	var cfg config
	if len(c.Servers) == 0 {
		cfg = c.system()
	} else {
		for _, s := range c.Servers {
			addr, err := parseServer(s)
			if err != nil {
				return config{}, err
			}
			cfg.servers = append(cfg.servers, server{addr: addr, trusted: c.TrustAD || addr.Addr().Unmap().IsLoopback()})
		}
	}
	if c.Timeout > 0 {
		cfg.timeout = c.Timeout
	}
	if c.Attempts > 0 {
		cfg.attempts = c.Attempts
	}
	cfg.timeout = cmp.Or(cfg.timeout, defaultTimeout)
	cfg.attempts = cmp.Or(cfg.attempts, defaultAttempts)
	return cfg, nil
}

// system returns the settings of resolv.conf, read again when it changed.
func (c *Client) system() config {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.sys != nil && now.Sub(c.sys.checked) < recheck {
		return c.sys.config
	}
	path := cmp.Or(c.resolvConf, "/etc/resolv.conf")
	stamp := ""
	if fi, err := os.Stat(path); err == nil {
		stamp = fmt.Sprint(fi.ModTime().UnixNano(), fi.Size())
	}
	if c.sys == nil || c.sys.stamp != stamp {
		text, _ := os.ReadFile(path) // a missing file means the local server, resolv.conf(5)
		c.sys = &sysConfig{config: parseResolvConf(string(text), c.TrustAD), stamp: stamp}
	}
	c.sys.checked = now
	return c.sys.config
}

// parseResolvConf reads the text of a resolv.conf(5). What it does not know, or
// cannot read, it skips, as the C library does.
func parseResolvConf(text string, trust bool) config {
	var cfg config
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			if addr, err := netip.ParseAddr(f[1]); err == nil && len(cfg.servers) < maxServers {
				cfg.servers = append(cfg.servers, server{addr: netip.AddrPortFrom(addr, 53)})
			}
		case "options":
			for _, o := range f[1:] {
				key, value, _ := strings.Cut(o, ":")
				n, _ := strconv.Atoi(value)
				switch key {
				case "timeout":
					cfg.timeout = min(time.Duration(max(n, 1))*time.Second, maxTimeout)
				case "attempts":
					cfg.attempts = min(max(n, 1), maxAttempts)
				case "trust-ad":
					trust = true
				}
			}
		}
	}
	if len(cfg.servers) == 0 {
		cfg.servers = []server{{addr: netip.MustParseAddrPort("127.0.0.1:53")}, {addr: netip.MustParseAddrPort("[::1]:53")}}
	}
	for i := range cfg.servers {
		s := &cfg.servers[i]
		s.trusted = trust || s.addr.Addr().Unmap().IsLoopback()
	}
	return cfg
}

// parseServer reads "addr", "[addr]" or "addr:port".
func parseServer(s string) (netip.AddrPort, error) {
	if p, err := netip.ParseAddrPort(s); err == nil {
		return p, nil
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("server %q is neither \"address\" nor \"address:port\"", clean(s, 64))
	}
	return netip.AddrPortFrom(addr, 53), nil
}
