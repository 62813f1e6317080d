package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"sync"
)

// MediaType is the media type of what [Report.Gzip] returns (RFC 8460, section
// 6.4).
const MediaType = "application/tlsrpt+gzip"

// Gzip returns the report as it is sent, in mail and by HTTPS: as JSON, gzipped
// (RFC 8460, section 5.2), with the media type [MediaType]. The same report
// gives the same octets.
func (r *Report) Gzip() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z := writers.Get().(*gzip.Writer)
	defer writers.Put(z)
	z.Reset(&b)
	if _, err := z.Write(text); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// writers holds what compresses: 800 KiB each, which would be most of the time
// that a small report takes.
var writers = sync.Pool{New: func() any { return gzip.NewWriter(io.Discard) }}
