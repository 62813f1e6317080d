package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strictmx/strictmx/cache"
)

// place is where memory stores keep what they share.
type place struct {
	mu      sync.Mutex
	entries map[string]entry // guarded by mu, as are the next two
	leases  map[string]entry
	broken  bool
}

type entry struct {
	value   []byte
	version int64
	expires time.Time
}

func (e entry) over() bool { return !e.expires.IsZero() && !time.Now().Before(e.expires) }

// memory is a Store and Leaser that keeps the contract, but for its one bug.
type memory struct {
	*place
	bug string

	mu   sync.Mutex
	held map[string][]byte // what some bugs keep for themselves; guarded by mu
}

func (m *memory) has(bug string) bool { return m.bug == bug }

var errBroken = errors.New("broken")

// begin locks the place, unless the call has nothing to do there.
func (m *memory) begin(ctx context.Context, keys ...string) error {
	if err := ctx.Err(); err != nil && !m.has("looks at no context") {
		return err
	}
	for _, key := range keys {
		if err := cache.CheckKey(key); err != nil {
			switch {
			case m.has("takes any key"):
			case m.has("takes a NUL") && strings.Contains(key, "\x00"):
			case m.has("cuts long keys") && len(key) > cache.MaxKey:
			default:
				return err
			}
		}
	}
	if !m.has("yields under its lock") {
		m.place.mu.Lock()
	} else if !m.place.mu.TryLock() {
		return errors.New("deadlock") // which no test could end
	}
	if m.broken && !m.has("hides failure") {
		m.place.mu.Unlock()
		return errBroken
	}
	return nil
}

// name is what a key is filed under.
func (m *memory) name(key string) string {
	switch {
	case m.has("ignores case"):
		return strings.ToLower(key)
	case m.has("decodes percents"):
		return strings.ReplaceAll(key, "%61", "a")
	case m.has("cuts keys"):
		return key[:min(len(key), 255)]
	}
	return key
}

func (m *memory) Get(ctx context.Context, key string) ([]byte, error) {
	if err := m.begin(ctx, key); err != nil {
		return nil, err
	}
	defer m.place.mu.Unlock()
	if m.broken {
		return nil, cache.ErrNotFound
	}
	if m.has("keeps what it has read") || m.has("writes later") {
		m.mu.Lock()
		defer m.mu.Unlock()
		if v, ok := m.held[key]; ok {
			return slices.Clone(v), nil
		}
	}
	e, ok := m.entries[m.name(key)]
	switch {
	case !ok && m.has("finds nothing but no error"):
		return nil, nil
	case !ok || e.over() && !m.has("never expires"):
		return nil, cache.ErrNotFound
	case m.has("hands out its own bytes"):
		return e.value, nil
	case m.has("an empty value is none") && len(e.value) == 0:
		return nil, cache.ErrNotFound
	case m.has("ends in a zero") && len(e.value) > 0:
		v, _, _ := strings.Cut(string(e.value), "\x00")
		return []byte(v), nil
	}
	if m.has("keeps what it has read") {
		m.held[key] = slices.Clone(e.value)
	}
	return slices.Clone(e.value), nil
}

func (m *memory) PutIfNewer(ctx context.Context, key string, value []byte, version int64, expires time.Time) error {
	if len(value) > cache.MaxValue && !m.has("takes any length") {
		return cache.ErrTooLarge
	}
	if err := m.begin(ctx, key); err != nil {
		return err
	}
	defer m.place.mu.Unlock()
	if m.broken {
		return nil
	}
	old, ok := m.entries[m.name(key)]
	if m.has("compares without the lock") {
		m.place.mu.Unlock()
		runtime.Gosched()
		m.place.mu.Lock()
	}
	if old.over() && !m.has("expired versions count") {
		ok = false
	}
	if m.has("versions are floats") && ok && float64(old.version) == float64(version) {
		return nil
	}
	if ok && !m.has("ignores version") && (old.version > version || old.version == version && !m.has("same version replaces")) {
		if m.has("extends the older") {
			old.expires = expires
			m.entries[m.name(key)] = old
		}
		if m.has("an older version is an error") {
			return errors.New("older")
		}
		return nil
	}
	if m.has("longer life wins") && ok && old.expires.After(expires) {
		expires = old.expires
	}
	if m.has("zero time is past") && expires.IsZero() {
		expires = time.Unix(0, 0)
	}
	if m.has("skips what has expired") && !expires.IsZero() && !time.Now().Before(expires) {
		return nil
	}
	if m.has("cuts values") {
		value = value[:min(len(value), 64<<10)]
	}
	if !m.has("keeps the caller's bytes") {
		value = slices.Clone(value)
	}
	if m.has("writes later") && !(entry{expires: expires}).over() {
		m.mu.Lock()
		m.held[key] = value
		m.mu.Unlock()
		return nil
	}
	if m.has("tears when its context ends") {
		m.place.mu.Unlock() // who waits for a mutex keeps the bubble's clock from moving on
		time.Sleep(time.Nanosecond)
		m.place.mu.Lock()
		if ctx.Err() != nil {
			m.entries[m.name(key)] = entry{[]byte("half"), version, expires}
			return ctx.Err()
		}
	}
	if m.has("stores nothing") {
		return nil
	}
	if m.has("writes in pieces") {
		m.entries[m.name(key)] = entry{value[:len(value)/2], version, expires}
		m.place.mu.Unlock()
		for range 20 {
			runtime.Gosched()
		}
		m.place.mu.Lock()
	}
	m.entries[m.name(key)] = entry{value, version, expires}
	return nil
}

func (m *memory) Delete(ctx context.Context, key string) error {
	if err := m.begin(ctx, key); err != nil {
		return err
	}
	defer m.place.mu.Unlock()
	switch {
	case m.has("deletes below, too"):
		maps.DeleteFunc(m.entries, func(k string, _ entry) bool { return strings.HasPrefix(k, key) })
	case m.has("a missing key cannot be deleted") && m.entries[key].value == nil:
		return cache.ErrNotFound
	case m.has("leaves a tombstone"):
		m.entries[key] = entry{version: m.entries[key].version, expires: time.Now().Add(time.Nanosecond)}
	case m.has("deletes nothing"):
	case m.has("deletes for itself"):
		m.mu.Lock()
		defer m.mu.Unlock()
		m.held[key] = nil
	default:
		delete(m.entries, m.name(key))
	}
	return nil
}

func (m *memory) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := m.begin(ctx); err != nil {
			yield("", err)
			return
		}
		keys := slices.Collect(maps.Keys(m.entries))
		if m.has("yields under its lock") {
			defer m.place.mu.Unlock()
		} else {
			m.place.mu.Unlock()
		}
		if m.has("lists in steps") {
			keys = m.inSteps(keys)
		}
		for _, key := range keys {
			if !m.has("looks at no context in a loop") && ctx.Err() != nil {
				yield("", ctx.Err())
				return
			}
			if strings.HasPrefix(key, prefix) || m.has("ignores the prefix") {
				if !yield(key, nil) && !m.has("does not stop") {
					return
				}
			}
			if m.has("yields twice") && !yield(key, nil) {
				return
			}
		}
	}
}

// inSteps loses a key that moves, as a directory read in pieces may.
func (m *memory) inSteps(keys []string) []string {
	if len(keys) > 1 && strings.HasPrefix(keys[0], "stay") {
		return keys[1:]
	}
	return keys
}

func (m *memory) Lease(ctx context.Context, name, holder string, ttl time.Duration) (bool, error) {
	if ttl <= 0 && !m.has("leases for no time") {
		return false, errors.New("ttl")
	}
	if err := m.begin(ctx, name, holder); err != nil {
		return false, err
	}
	defer m.place.mu.Unlock()
	if m.broken {
		return true, nil
	}
	e, ok := m.leases[m.leaseName(name)]
	if m.has("compares without the lock") {
		m.place.mu.Unlock()
		runtime.Gosched()
		m.place.mu.Lock()
	}
	mine := string(e.value) == holder
	switch {
	case m.has("everybody holds it"):
	case ok && !mine && (!e.over() || m.has("leases never end")):
		if m.has("asking extends it") {
			e.expires = time.Now().Add(ttl)
			m.leases[m.leaseName(name)] = e
		}
		return false, nil
	case ok && mine && m.has("cannot be extended"):
		return !e.over(), nil
	case ok && mine && m.has("cannot be shortened") && e.expires.After(time.Now().Add(ttl)):
		return true, nil
	}
	m.leases[m.leaseName(name)] = entry{value: []byte(holder), expires: time.Now().Add(ttl)}
	if m.has("leases are entries") {
		m.entries[name] = m.leases[name]
	}
	return true, nil
}

func (m *memory) leaseName(name string) string {
	if m.has("leases are its own") {
		return fmt.Sprintf("%p%s", m, name)
	}
	return m.name(name)
}

func (m *memory) Release(ctx context.Context, name, holder string) error {
	if err := m.begin(ctx, name, holder); err != nil {
		return err
	}
	defer m.place.mu.Unlock()
	if !m.has("releases nothing") && (string(m.leases[m.leaseName(name)].value) == holder || m.has("anyone releases")) {
		delete(m.leases, m.leaseName(name))
	}
	return nil
}

func suite(bug string) Suite {
	on := func(p *place) cache.Store { return &memory{place: p, bug: bug, held: make(map[string][]byte)} }
	return Suite{
		Open: func(testing.TB) cache.Store {
			return on(&place{entries: make(map[string]entry), leases: make(map[string]entry)})
		},
		Again: func(_ testing.TB, s cache.Store) cache.Store { return on(s.(*memory).place) },
		Break: func(_ testing.TB, s cache.Store) {
			p := s.(*memory).place
			p.mu.Lock()
			p.broken = true
			p.mu.Unlock()
		},
	}
}

func TestACorrectStorePasses(t *testing.T) {
	suite("").Run(t)
	suite("").RunLeaser(t)
	Run(t, suite("").Open)
}

// Outside a bubble the tests really wait.
func TestACorrectStorePassesInRealTime(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds; run without -short")
	}
	s := suite("")
	s.Sleep = time.Sleep
	s.Run(t)
	s.RunLeaser(t)
}

// bugs are the ways to break the contract, and for each a test that must notice.
var bugs = map[string]string{
	"looks at no context":             "nothing is done for a context that has ended",
	"takes any key":                   "keys that can be none are refused",
	"takes a NUL":                     "keys that can be none are refused",
	"cuts long keys":                  "keys that can be none are refused",
	"hides failure":                   "a store that fails does not say that there is nothing",
	"ignores case":                    "keys that are odd are told apart",
	"decodes percents":                "keys that are odd are told apart",
	"cuts keys":                       "a key of the greatest length",
	"keeps what it has read":          "what was deleted is gone for another process",
	"writes later":                    "what was put is there for another process",
	"finds nothing but no error":      "what is not there is not found",
	"never expires":                   "an entry is there until it expires",
	"hands out its own bytes":         "bytes of the caller and of the store are not the same bytes",
	"keeps the caller's bytes":        "bytes of the caller and of the store are not the same bytes",
	"an empty value is none":          "an empty value is a value",
	"ends in a zero":                  "any bytes up to the limit are a value",
	"cuts values":                     "any bytes up to the limit are a value",
	"takes any length":                "a value over the limit is refused",
	"compares without the lock":       "of many writers the newest wins",
	"expired versions count":          "the version of an expired entry counts for nothing",
	"versions are floats":             "any int64 is a version",
	"ignores version":                 "a lower version changes nothing",
	"same version replaces":           "the same version changes nothing",
	"extends the older":               "a lower version changes nothing",
	"an older version is an error":    "a lower version changes nothing",
	"longer life wins":                "a newer entry may expire before the older one",
	"zero time is past":               "the zero time never comes",
	"skips what has expired":          "what has expired when it is put replaces what is older",
	"tears when its context ends":     "a context may end at any moment",
	"stores nothing":                  "what was put is got",
	"writes in pieces":                "readers never see an older version after a newer one",
	"deletes below, too":              "what is deleted is gone, with its version",
	"a missing key cannot be deleted": "what is deleted is gone, with its version",
	"leaves a tombstone":              "what is deleted is gone, with its version",
	"deletes nothing":                 "what is deleted is gone, with its version",
	"deletes for itself":              "what was deleted is gone for another process",
	"yields under its lock":           "a loop over Keys may call the store",
	"lists in steps":                  "Keys during writes",
	"looks at no context in a loop":   "Keys ends with its context",
	"ignores the prefix":              "Keys yields those with the prefix",
	"does not stop":                   "a loop over Keys may end early",
	"yields twice":                    "Keys during writes",
	"leases for no time":              "names that can be none are refused",
	"everybody holds it":              "a lease has one holder",
	"leases never end":                "the lease of a holder that dies ends by itself",
	"asking extends it":               "the lease of a holder that dies ends by itself",
	"cannot be extended":              "a holder may extend its lease",
	"cannot be shortened":             "a lease may be extended to less",
	"leases are entries":              "leases and entries do not meet",
	"leases are its own":              "two processes do not hold one lease",
	"releases nothing":                "a released lease is free",
	"anyone releases":                 "nobody releases the lease of another",
}

func TestABrokenStoreFails(t *testing.T) {
	failed := make(map[string]bool) // any check that ever failed
	for bug, want := range bugs {
		t.Run(bug, func(t *testing.T) {
			var got []string
			for _, c := range slices.Concat(storeChecks(), leaserChecks()) {
				if fails(t, suite(bug), c) {
					got = append(got, c.name)
					failed[c.name] = true
				}
			}
			for range 50 { // a race may take a few attempts
				if !slices.Contains(got, want) && fails(t, suite(bug), named(want)) {
					got = append(got, want)
					failed[want] = true
				}
			}
			if !slices.Contains(got, want) {
				t.Errorf("%q passes; what fails is %q", want, got)
			}
		})
	}
	for _, c := range slices.Concat(storeChecks(), leaserChecks()) {
		if !failed[c.name] {
			t.Errorf("%q never fails", c.name)
		}
	}
}

func TestWhatIsMissingIsSkipped(t *testing.T) {
	s := Suite{Open: suite("").Open}
	for _, c := range storeChecks() {
		s.inTime(t, func(t *testing.T) {
			r := record(t, s, c)
			if skipped := c.needs != nil; r.skipped != skipped || r.failed {
				t.Errorf("%s: skipped %v, failed %v; want skipped %v", c.name, r.skipped, r.failed, skipped)
			}
		})
	}
}

func TestAStoreThatIsNoLeaser(t *testing.T) {
	type plain struct{ cache.Store }
	s := Suite{Open: func(tb testing.TB) cache.Store { return plain{suite("").Open(tb)} }}
	if !fails(t, s, leaserChecks()[0]) {
		t.Error("it passes as one")
	}
}

func named(name string) check {
	all := slices.Concat(storeChecks(), leaserChecks())
	return all[slices.IndexFunc(all, func(c check) bool { return c.name == name })]
}

func fails(t *testing.T, s Suite, c check) (failed bool) {
	s.inTime(t, func(t *testing.T) { failed = record(t, s, c).failed })
	return failed
}

// record runs a check on a TB that remembers what became of it.
func record(tb testing.TB, s Suite, c check) *recorder {
	r := &recorder{TB: tb}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				r.Fail()
			}
		}()
		s.one(r, c)
	}()
	<-done
	return r
}

type recorder struct {
	testing.TB
	mu              sync.Mutex
	failed, skipped bool // guarded by mu
}

func (r *recorder) Fail() {
	r.mu.Lock()
	r.failed = true
	r.mu.Unlock()
}

func (r *recorder) FailNow() {
	r.Fail()
	runtime.Goexit()
}

func (r *recorder) Error(...any)          { r.Fail() }
func (r *recorder) Errorf(string, ...any) { r.Fail() }
func (r *recorder) Fatal(...any)          { r.FailNow() }
func (r *recorder) Fatalf(string, ...any) { r.FailNow() }

func (r *recorder) Skip(...any) {
	r.mu.Lock()
	r.skipped = true
	r.mu.Unlock()
	runtime.Goexit()
}
