package strictmxtest

// Every fault is a number that can be compared, and a name to print. The lowest
// byte says what kind it is; the rest is the number that some kinds take, such
// as a reply code.

// None is no fault, for name servers, policy hosts and MX hosts alike.
const None = 0

// TLS11Only is a fault of policy hosts and MX hosts: they speak TLS 1.1 and 1.0,
// and nothing newer (RFC 8996).
const TLS11Only = 1

const argShift = 8

func argument(code int) uint32 { return uint32(code) << argShift }
