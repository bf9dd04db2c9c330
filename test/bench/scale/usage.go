package scale

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/test/bench/usage"
)

// settled returns how much memory is the server's own after garbage has been collected, once it has stopped shrinking:
// Go returns memory to the system slowly.
func (s *server) settled(ctx context.Context, patience time.Duration) (int64, error) {
	deadline := time.Now().Add(patience)
	least := int64(-1)
	for quiet := 0; quiet < 5 && time.Now().Before(deadline); {
		if err := s.get(ctx, "/debug/pprof/heap?gc=1", func(io.Reader) error { return nil }); err != nil {
			return 0, err
		}
		now, err := usage.Anonymous(s.pid())
		if err != nil {
			return 0, err
		}
		if quiet++; least < 0 || now < least-least/100 {
			quiet = 0
		}
		if least < 0 || now < least {
			least = now
		}
		select {
		case <-time.After(patience / 30):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return least, nil
}

// get reads what the API serves at a path.
func (s *server) get(ctx context.Context, path string, read func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.api+path, nil)
	if err != nil {
		return err
	}
	response, err := s.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, response.Status)
	}
	if err := read(response.Body); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// series counts the metric series that the server serves.
func (s *server) series(ctx context.Context) (count int, err error) {
	err = s.get(ctx, "/metrics", func(r io.Reader) error {
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			if line := lines.Text(); line != "" && !strings.HasPrefix(line, "#") {
				count++
			}
		}
		return lines.Err()
	})
	return count, err
}
