//go:build linux

package realservers

import (
	"strings"
	"testing"
)

// startExim starts an Exim that takes mail for everybody as each host.
func startExim(t *testing.T, hosts []host) *server {
	s := newServer(t, "exim.mx.test", hosts)
	s.maildir, s.log = s.path("mail"), s.path("mainlog")
	s.words = words{
		connected: `SMTP connection from CLIENT .*TCP/IP connection count`,
		tls:       `(<= |no MAIL in SMTP connection from ).* CLIENT .* X=TLS1\.3:`,
		mailed:    `SMTP connection from .*CLIENT .*closed by QUIT`,
		unmailed:  `no MAIL in SMTP connection from .*CLIENT `,
	}
	for _, dir := range []string{"spool", "mail"} {
		s.mkdir(dir)
	}
	var addresses, clear []string
	for _, h := range hosts {
		addresses = append(addresses, h.ip)
		if h.cert.PrivateKey == nil {
			clear = append(clear, h.ip)
		}
	}
	list := strings.NewReplacer("{addresses}", strings.Join(addresses, " : "), "{clear}", strings.Join(clear, " : "))
	s.write("exim.conf", list.Replace(eximConfiguration))
	s.start(hosts, s.environment(false), "usr/sbin/exim4", "-C", s.path("exim.conf"), "-bdf", "-q1h")
	return s
}

const eximConfiguration = `primary_hostname = {name}
exim_path = {program}/usr/sbin/exim4
spool_directory = {dir}/spool
log_file_path = {dir}/%slog
pid_file_path = {dir}/pid
keep_environment = LD_LIBRARY_PATH : LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
local_interfaces = {addresses}
daemon_smtp_ports = {port}
tls_advertise_hosts = ${if inlist{$received_ip_address}{{clear}}{}{*}}
tls_certificate = {dir}/certificates/$received_ip_address.pem
tls_resumption_hosts = *
log_selector = +incoming_port +smtp_connection +smtp_no_mail +tls_cipher
host_lookup =
rfc1413_query_timeout = 0s
smtputf8_advertise_hosts = *
chunking_advertise_hosts = *
acl_smtp_rcpt = all
acl_smtp_data = all

begin acl
all:
  accept

begin routers
all:
  driver = accept
  transport = box

begin transports
box:
  driver = appendfile
  directory = {dir}/mail
  maildir_format
  user = Debian-exim
  return_path_add
  envelope_to_add
`
