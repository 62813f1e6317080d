package cache

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"time"
)

const (
	// sealOverhead is by how much a sealed value is longer: one byte for the format, version and
	// expiry, the nonce and the tag.
	sealOverhead = sealHeader + 12 + 16
	sealHeader   = 1 + 8 + 8
	sealFormat   = 1
	minSealKey   = 32
	sealLabel    = "strictmx cache.Sealed 1 "
)

// Sealed returns a [Store] that keeps everything in store, encrypted and
// authenticated, so that who can read and write that place, such as a server shared with others,
// learns of values only their length, and can forge none. It is a [Leaser] if store is.
//
// A seal holds the value, its key, version and expiry together (AES-256-GCM; for each key of
// an entry, a key of its own is derived with HKDF): a value that was changed, moved to another
// key, or kept beyond its time does not open. Such a bad seal is [ErrNotFound] and a
// warning to logger, which may be nil. What remains possible is to remove entries, to put back an
// older one that has not expired, and to see the keys of entries, which are not hidden. So who uses a
// value must still look at its age.
//
// Each of keys is at least 32 random bytes, the same in the whole fleet. The
// first seals and all of them open. To change it, add the new one at the end everywhere, then move it
// to the front everywhere, and remove the old one when nothing it sealed is in use any more.
//
// A value may have 45 bytes less than [MaxValue] allows.
func Sealed(store Store, logger *slog.Logger, keys ...[]byte) (Store, error) {
	if len(keys) == 0 {
		return nil, errors.New("cache: Sealed needs a key")
	}
	s := &sealed{store: store, log: limitedLog{logger: logger}}
	for i, key := range keys {
		if len(key) < minSealKey {
			return nil, fmt.Errorf("cache: key %d of Sealed has %d bytes, and needs %d", i, len(key), minSealKey)
		}
		secret, err := hkdf.Extract(sha256.New, key, nil)
		if err != nil {
			return nil, fmt.Errorf("cache: Sealed: %w", err)
		}
		s.secrets = append(s.secrets, secret)
	}
	if l, ok := store.(Leaser); ok {
		return sealedLeaser{s, l}, nil
	}
	return s, nil
}

type sealed struct {
	store   Store
	secrets [][]byte
	log     limitedLog
}

type sealedLeaser struct {
	*sealed
	Leaser
}

// seal is the AEAD for one key of an entry: a nonce drawn at random then has to be new among
// those of that key alone.
func seal(secret []byte, key string) (cipher.AEAD, error) {
	derived, err := hkdf.Expand(sha256.New, secret, sealLabel+key, 32)
	if err != nil {
		return nil, err
	}
	b, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(b)
}

func (s *sealed) PutIfNewer(ctx context.Context, key string, value []byte, version int64, expires time.Time) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if len(value) > MaxValue-sealOverhead {
		return fmt.Errorf("%w: %d bytes, to be sealed", ErrTooLarge, len(value))
	}
	header := make([]byte, 0, sealOverhead+len(value))
	header = append(header, sealFormat)
	header = binary.BigEndian.AppendUint64(header, uint64(version))
	header = binary.BigEndian.AppendUint64(header, uint64(expiryMillis(expires)))
	aead, err := seal(s.secrets[0], key)
	if err != nil {
		return fmt.Errorf("cache: sealing %.128q: %w", key, err)
	}
	return s.store.PutIfNewer(ctx, key, aead.Seal(header, nil, value, sealData(key, header)), version, expires)
}

// sealData is what a seal holds together with the value. A NUL ends the key: no key has one.
func sealData(key string, header []byte) []byte {
	return slices.Concat([]byte(key), []byte{0}, header)
}

// expiryMillis is the time in milliseconds, 0 for never. What expired before 1970
// expired then.
func expiryMillis(expires time.Time) int64 {
	if expires = inRange(expires); expires.IsZero() {
		return 0
	}
	return max(expires.UnixMilli(), 1)
}

func (s *sealed) Get(ctx context.Context, key string) ([]byte, error) {
	b, err := s.store.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	value, ok := s.unseal(key, b)
	if !ok {
		s.log.warn("a value does not open with any key of this process: it was forged, or sealed with another key", slog.String("key", key))
		return nil, ErrNotFound // R6
	}
	if millis := int64(binary.BigEndian.Uint64(b[9:])); millis != 0 && time.Now().UnixMilli() >= millis {
		return nil, ErrNotFound // whatever the store says
	}
	return value, nil
}

func (s *sealed) unseal(key string, b []byte) ([]byte, bool) {
	if len(b) < sealOverhead || b[0] != sealFormat {
		return nil, false
	}
	header, rest := b[:sealHeader], b[sealHeader:]
	for _, secret := range s.secrets {
		aead, err := seal(secret, key)
		if err != nil {
			return nil, false
		}
		if value, err := aead.Open([]byte{}, nil, rest, sealData(key, header)); err == nil {
			return value, true
		}
	}
	return nil, false
}

func (s *sealed) Delete(ctx context.Context, key string) error { return s.store.Delete(ctx, key) }

// Keys passes on what is a key: the place is not trusted.
func (s *sealed) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for key, err := range s.store.Keys(ctx, prefix) {
			if err == nil && (CheckKey(key) != nil || !strings.HasPrefix(key, prefix)) {
				continue
			}
			if !yield(key, err) {
				return
			}
		}
	}
}
