package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

const (
	// shardCount is into how many subdirectories the entries are spread: with a
	// million of them, each has 4,000.
	shardCount = 256
	// maxName bounds the name of a file. Most file systems take 255 bytes.
	maxName = 200

	leaseMark = "~lease~" // before the names of leases; "~" never begins the name of an entry
	tempName  = "~temp"   // in each shard; who holds the lock of the shard writes to it
)

// spot is where a key is in a Dir.
type spot struct {
	key   string
	shard int
	name  string // of the file in the shard
}

func (s spot) path() string { return shardName(s.shard) + "/" + s.name }

func shardName(i int) string { return fmt.Sprintf("%02x", i) }

// spotOf says where the entry of a valid key is. The name of the file shows the key to
// whoever looks: "mtasts/example.com" is in "mtasts+example.com".
func spotOf(key string) spot {
	sum := sha256.Sum256([]byte(key))
	return spot{key: key, shard: int(sum[0]), name: fileName(key, sum)}
}

// leaseSpot says where the lease of a valid name is.
func leaseSpot(name string) spot {
	s := spotOf(name)
	s.name = leaseMark + s.name
	return s
}

// fileName returns a name that no other key has, not even where case is ignored.
func fileName(key string, sum [sha256.Size]byte) string {
	b := make([]byte, 0, len(key)+8)
	for i := range len(key) {
		switch c := key[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_', c == '-', c == '.' && i > 0 && i < len(key)-1:
			b = append(b, c)
		case c == '/':
			b = append(b, '+')
		default:
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	if len(b) > maxName {
		cut := maxName - 1 - 2*sha256.Size
		return string(b[:cut]) + "~" + hex.EncodeToString(sum[:])
	}
	return string(b)
}

const hexDigits = "0123456789abcdef"

// keyOf is the way back. A long name does not hold the whole key: then it
// returns "" and true, and the key is in the file.
func keyOf(name string) (key string, ok bool) {
	if i := strings.IndexByte(name, '~'); i >= 0 {
		return "", len(name) == maxName && i == maxName-1-2*sha256.Size
	}
	b := make([]byte, 0, len(name))
	for i := 0; i < len(name); i++ {
		switch c := name[i]; c {
		case '+':
			b = append(b, '/')
		case '%':
			if i+2 >= len(name) {
				return "", false
			}
			n, err := strconv.ParseUint(name[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			b = append(b, byte(n))
			i += 2
		default:
			b = append(b, c)
		}
	}
	key = string(b)
	return key, CheckKey(key) == nil && spotOf(key).name == name
}
