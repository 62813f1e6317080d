package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
)

// Gzip returns the report as it is sent, in mail and by HTTPS: as JSON, gzipped
// (RFC 8460, section 5.2). Its media type is [MediaType]. The same report gives
// the same octets.
func (r *Report) Gzip() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(text); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// MediaType is the media type of what Gzip returns (RFC 8460, section 6.4).
const MediaType = "application/tlsrpt+gzip"
