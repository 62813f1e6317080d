// Package realservers is tests alone: they deliver with package outbound to a
// Postfix and an Exim as Debian ships them, and read the mail from the servers'
// own mailboxes and what became of each connection from their logs.
//
// The servers are unpacked, not installed, and run as an ordinary user on
// loopback addresses, with a configuration and certificates made for the test:
//
//	.ci/servers DIR && STRICTMX_SERVERS=DIR go test ./internal/realservers
package realservers
