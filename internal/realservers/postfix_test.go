//go:build linux

package realservers

import (
	"strings"
	"testing"
)

// startPostfix starts a Postfix that takes mail for example.com as each host.
func startPostfix(t *testing.T, hosts []host) *server {
	s := newServer(t, "postfix.mx.test", hosts)
	s.maildir, s.log = s.path("mail/box"), s.path("log")
	s.words = words{
		connected: `: connect from unknownCLIENT\b`,
		tls:       `TLS connection established from unknownCLIENT: TLSv1\.3 `,
		mailed:    `disconnect from unknownCLIENT .*\bmail=\d+ rcpt=\d+ (data|bdat)=\d+ `,
		unmailed:  `disconnect from unknownCLIENT( (ehlo|starttls|quit)=[0-9/]+)* commands=`,
	}
	for _, dir := range []string{"etc", "data", "mail", "queue"} {
		s.mkdir(dir)
	}
	for dir := range strings.FieldsSeq("active bounce corrupt defer deferred flush hold incoming maildrop pid private public saved trace") {
		s.mkdir("queue/" + dir)
	}
	s.write("etc/main.cf", postfixMain)
	master := postfixMaster
	for _, h := range hosts {
		level := "may"
		if h.cert.PrivateKey == nil {
			level = "none"
		}
		master += h.ip + ":{port} inet n y n - - smtpd\n" +
			"  -o smtpd_tls_security_level=" + level + "\n" +
			"  -o smtpd_tls_chain_files={dir}/certificates/" + h.ip + ".pem\n"
	}
	s.write("etc/master.cf", master)
	s.start(hosts, append(s.environment(true), "MAIL_CONFIG="+s.path("etc")), "usr/lib/postfix/sbin/master", "-d", "-c", s.path("etc"))
	return s
}

// Nothing of it is in its usual place, and nothing is run in a chroot.
const (
	postfixMain = `compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = {program}/usr/sbin
daemon_directory = {program}/usr/lib/postfix/sbin
shlib_directory = {program}/usr/lib/postfix
meta_directory = {dir}/etc
maillog_file = {dir}/log
maillog_file_prefixes = {dir}
mail_owner = postfix
setgid_group = postdrop
default_privs = nobody
import_environment = MAIL_CONFIG POSTLOG_SERVICE POSTLOG_HOSTNAME LC_ALL LD_LIBRARY_PATH LD_PRELOAD
	NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP UID_WRAPPER UID_WRAPPER_ROOT
myhostname = {name}
mydestination =
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
virtual_mailbox_domains = static:all
virtual_mailbox_base = {dir}/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
smtpd_relay_restrictions =
smtpd_recipient_restrictions = reject_unauth_destination
smtpd_peername_lookup = no
smtpd_client_port_logging = yes
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
`
	postfixMaster = `cleanup unix n y n - 0 cleanup
qmgr unix n y n 300 1 qmgr
tlsmgr unix y y n 1000? 1 tlsmgr
rewrite unix y y n - - trivial-rewrite
bounce unix y y n - 0 bounce
defer unix y y n - 0 bounce
trace unix y y n - 0 bounce
error unix y y n - - error
retry unix y y n - - error
virtual unix y n n - - virtual
proxymap unix y y n - - proxymap
anvil unix y y n - 1 anvil
postlog unix-dgram n y n - 1 postlogd
`
)
