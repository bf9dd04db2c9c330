//go:build linux

package node

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// containerLog is what a container writes to stdout and stderr, in a file with the time before each line.
type containerLog struct {
	path string

	mu      sync.Mutex
	file    *os.File
	partial []byte        // a line that has no end yet
	grown   chan struct{} // closed at the next change
	ended   bool
}

func newLog(path string) (*containerLog, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &containerLog{path: path, file: file, grown: make(chan struct{})}, nil
}

// Write implements io.Writer.
func (l *containerLog) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, data...)
	end := bytes.LastIndexByte(l.partial, '\n')
	if end < 0 {
		return len(data), nil
	}
	lines := l.partial[:end+1]
	err := l.append(lines)
	l.partial = append([]byte(nil), l.partial[end+1:]...)
	return len(data), err
}

// append writes lines, each with an end.
func (l *containerLog) append(lines []byte) error {
	stamp := time.Now().UTC().Format(time.RFC3339Nano) + " "
	var b bytes.Buffer
	for line := range bytes.Lines(lines) {
		b.WriteString(stamp)
		b.Write(line)
	}
	_, err := l.file.Write(b.Bytes())
	l.notify()
	return err
}

func (l *containerLog) notify() {
	close(l.grown)
	l.grown = make(chan struct{})
}

// end has nobody wait for more.
func (l *containerLog) end() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	if len(l.partial) > 0 {
		err = l.append(append(l.partial, '\n'))
	}
	l.ended = true
	l.notify()
	return errors.Join(err, l.file.Close())
}

// state returns whether the log has ended, and a channel that is closed when it has changed.
func (l *containerLog) state() (bool, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended, l.grown
}

// tail returns the last lines, for a message, without times.
func (l *containerLog) tail() string {
	const lines, size = 80, 2048 // as kubelets have it
	var b strings.Builder
	if err := l.send(context.Background(), &b, &corev1.PodLogOptions{TailLines: new(int64(lines))}, func() {}); err != nil {
		return err.Error()
	}
	return b.String()[max(0, b.Len()-size):]
}

// send writes the log, or what the options ask for of it, and returns at its end, or never if that is to be awaited. flush
// is called when there is nothing more for the moment.
func (l *containerLog) send(ctx context.Context, w io.Writer, o *corev1.PodLogOptions, flush func()) error {
	file, err := os.Open(l.path)
	if err != nil {
		return err
	}
	defer file.Close()
	s := sender{w: w, timestamps: o.Timestamps, limit: o.LimitBytes}
	if o.SinceTime != nil {
		s.since = o.SinceTime.Time
	}
	if o.SinceSeconds != nil {
		s.since = time.Now().Add(-time.Duration(*o.SinceSeconds) * time.Second)
	}
	skip, err := l.before(o.TailLines, s)
	if err != nil {
		return err
	}
	// Lines are written whole, so that none is read before its end.
	lines := bufio.NewReader(file)
	for {
		ended, grown := l.state()
		for {
			line, err := lines.ReadString('\n')
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if !s.wants(line) {
				continue
			}
			if skip > 0 {
				skip--
				continue
			}
			if full, err := s.write(line); full || err != nil {
				return err
			}
		}
		flush()
		if ended || !o.Follow {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil
		}
	}
}

// before returns how many lines that s wants come before the last ones that are asked for.
func (l *containerLog) before(tail *int64, s sender) (int64, error) {
	if tail == nil {
		return 0, nil
	}
	data, err := os.ReadFile(l.path)
	if err != nil {
		return 0, err
	}
	var count int64
	for line := range strings.Lines(string(data)) {
		if s.wants(line) {
			count++
		}
	}
	return max(0, count-*tail), nil
}

// sender writes lines of a log as they are asked for.
type sender struct {
	w          io.Writer
	since      time.Time
	timestamps bool
	limit      *int64 // how many bytes may still be written
}

func (s *sender) wants(line string) bool {
	stamp, _, _ := strings.Cut(line, " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	return err == nil && !at.Before(s.since)
}

// write says whether that was all that may be written.
func (s *sender) write(line string) (bool, error) {
	if !s.timestamps {
		_, line, _ = strings.Cut(line, " ")
	}
	if s.limit != nil {
		if int64(len(line)) >= *s.limit {
			line = line[:*s.limit]
			_, err := io.WriteString(s.w, line)
			return true, err
		}
		s.limit = new(*s.limit - int64(len(line)))
	}
	_, err := io.WriteString(s.w, line)
	return false, err
}
