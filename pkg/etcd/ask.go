package etcd

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// askTimeout is for a status, which a peer knows without asking others.
const askTimeout = 5 * time.Second

// peerAnswer is the status of a peer, or why there is none.
type peerAnswer struct {
	peerStatus
	err error
}

// askAll asks all other members for their statuses.
func (p *peerServer) askAll(ctx context.Context) map[string]peerAnswer {
	var (
		asking  sync.WaitGroup
		mu      sync.Mutex
		answers = map[string]peerAnswer{}
	)
	for name := range p.member.Peers {
		if name == p.member.Name {
			continue
		}
		asking.Go(func() {
			s, err := p.ask(ctx, name)
			mu.Lock()
			defer mu.Unlock()
			answers[name] = peerAnswer{s, err}
		})
	}
	asking.Wait()
	return answers
}

func (p *peerServer) ask(ctx context.Context, peer string) (s peerStatus, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if err := p.call(ctx, http.MethodGet, p.member.Peers[peer]+statusPath, nil, &s); err != nil {
		return s, err
	}
	if s.Name != peer {
		return s, fmt.Errorf("%s answers at %s", s.Name, p.member.Peers[peer])
	}
	return s, nil
}

func (p *peerServer) askToJoin(ctx context.Context, peer string, request joinRequest) (response joinResponse, err error) {
	body, err := json.Marshal(request)
	if err != nil {
		return response, err
	}
	ctx, cancel := context.WithTimeout(ctx, admitTimeout+askTimeout)
	defer cancel()
	return response, p.call(ctx, http.MethodPost, p.member.Peers[peer]+joinPath, body, &response)
}

// call makes one request, on a connection of its own.
func (p *peerServer) call(ctx context.Context, method, url string, body []byte, out any) error {
	config, err := p.tls.config()
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	client := http.Client{
		Transport:     &http.Transport{TLSClientConfig: config, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(cmp.Or(strings.TrimSpace(string(content)), response.Status))
	}
	return json.Unmarshal(content, out)
}
