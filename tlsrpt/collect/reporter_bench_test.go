package collect

import (
	"fmt"
	"testing"
	"time"

	"github.com/strictmx/strictmx/tlsrpt"
)

// A day of 100,000 domains, one policy each and a failure in every tenth, made
// into gzipped reports by one goroutine.
func BenchmarkDayOfReports(b *testing.B) {
	const domains = 100_000
	c := &Collector{}
	day := time.Now().Add(-36 * time.Hour)
	for i := range domains {
		domain := fmt.Sprintf("d%d.example", i)
		e := session(domain, enforce(domain))
		e.Time = day
		c.Observe(e)
		if i%10 == 0 {
			e.Outcomes[0].Failures = []tlsrpt.Failure{expired}
			c.Observe(e)
		}
	}
	r := &Reporter{Collector: c, Submitter: us}
	r.once.Do(r.start)
	var reports, bytes int
	b.ReportAllocs()
	for b.Loop() {
		d := &sealedDay{start: tlsrpt.Day(day).Start}
		for _, domain := range c.domains(day) {
			tally, ok := c.tally(day, domain)
			made := r.build(&task{day: d, domain: domain}, &tally)
			if !ok || made.err != nil {
				b.Fatal(made.err)
			}
			reports++
			bytes += len(made.body)
		}
	}
	b.ReportMetric(float64(reports)/b.Elapsed().Seconds(), "reports/s")
	b.ReportMetric(float64(bytes)/float64(reports), "gzip-B/report")
}
