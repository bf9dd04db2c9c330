package hcm_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// testService answers calls with what it gets.
type testService struct {
	testgrpc.UnimplementedTestServiceServer
}

func (testService) UnaryCall(ctx context.Context, r *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if err := grpc.SetTrailer(ctx, metadata.Pairs("x-trailer", strings.Join(md["x-request"], ","))); err != nil {
		return nil, err
	}
	if r.GetResponseStatus() != nil {
		return nil, status.Error(codes.Code(r.GetResponseStatus().GetCode()), r.GetResponseStatus().GetMessage())
	}
	return &testgrpc.SimpleResponse{Payload: r.GetPayload()}, nil
}

func (testService) FullDuplexCall(stream grpc.BidiStreamingServer[testgrpc.StreamingOutputCallRequest, testgrpc.StreamingOutputCallResponse]) error {
	for {
		r, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&testgrpc.StreamingOutputCallResponse{Payload: r.GetPayload()}); err != nil {
			return err
		}
	}
}

// grpcGateway forwards calls to a server.
func grpcGateway(t *testing.T, routes string) (*gateway, testgrpc.TestServiceClient) {
	t.Helper()
	g := newGateway(t, routes)
	server := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(server, testService{})
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }() // calls fail if it does
	t.Cleanup(server.Stop)
	g.cluster("backend", []string{listener.Addr().String()}, http2Cluster)
	return g, grpcClient(t, g.address)
}

func grpcClient(t *testing.T, address string) testgrpc.TestServiceClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return testgrpc.NewTestServiceClient(conn)
}

func TestGRPC(t *testing.T) {
	t.Parallel()
	_, client := grpcGateway(t, `
  - {match: {prefix: /, grpc: {}}, route: {cluster: backend, timeout: 0s, idleTimeout: 0s}, responseHeadersToAdd: [{header: {key: x-a, value: b}}]}
`)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request", "here")
	payload := &testgrpc.Payload{Body: []byte(strings.Repeat("a", 200<<10))}
	var header, trailer metadata.MD
	r, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{Payload: payload}, grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.GetPayload().GetBody()) != len(payload.GetBody()) || strings.Join(header["x-a"], "") != "b" || strings.Join(trailer["x-trailer"], "") != "here" {
		t.Errorf("got %d bytes, header %v, trailer %v", len(r.GetPayload().GetBody()), header, trailer)
	}
	_, err = client.UnaryCall(ctx, &testgrpc.SimpleRequest{ResponseStatus: &testgrpc.EchoStatus{Code: 9, Message: "no, 100%"}}, grpc.Trailer(&trailer))
	if s := status.Convert(err); s.Code() != codes.FailedPrecondition || s.Message() != "no, 100%" || strings.Join(trailer["x-trailer"], "") != "here" {
		t.Errorf("got %v, trailer %v", err, trailer)
	}
	if _, err := client.EmptyCall(ctx, &testgrpc.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("a call of an unknown method: %v", err)
	}
}

func TestGRPCStream(t *testing.T) {
	t.Parallel()
	_, client := grpcGateway(t, "  - {match: {prefix: /}, route: {cluster: backend, timeout: 0s, retryPolicy: {retryOn: reset}}}\n")
	stream, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Each message is answered before the next is sent; all of them are more than what is buffered.
	payload := &testgrpc.Payload{Body: []byte(strings.Repeat("a", 50<<10))}
	for range 10 {
		if err := stream.Send(&testgrpc.StreamingOutputCallRequest{Payload: payload}); err != nil {
			t.Fatal(err)
		}
		if r, err := stream.Recv(); err != nil || len(r.GetPayload().GetBody()) != len(payload.GetBody()) {
			t.Fatalf("got %d bytes, %v", len(r.GetPayload().GetBody()), err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestGRPCLocalReplies(t *testing.T) {
	t.Parallel()
	g, client := grpcGateway(t, "  - {match: {prefix: /grpc.testing.TestService/}, route: {cluster: unknown}}\n")
	if _, err := client.EmptyCall(t.Context(), &testgrpc.Empty{}); status.Code(err) != codes.Unavailable {
		t.Errorf("no cluster: %v", err)
	}
	g.cluster("unknown", nil, http2Cluster)
	if _, err := client.EmptyCall(t.Context(), &testgrpc.Empty{}); status.Code(err) != codes.Unavailable || status.Convert(err).Message() != "no healthy upstream" {
		t.Errorf("no endpoint: %v", err)
	}
	g.setRoutes("")
	if _, err := client.EmptyCall(t.Context(), &testgrpc.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("no route: %v", err)
	}
}

// TestStreaming has the two sides talk in turns, in all combinations of versions.
func TestStreaming(t *testing.T) {
	t.Parallel()
	g := newGateway(t, toBackend)
	address := backend(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex() // in HTTP/2, it is
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			_, _ = io.WriteString(w, lines.Text()+"\n")
			_ = control.Flush() // if the client is gone, the test fails
		}
	})
	for _, settings := range []string{"", http2Cluster} {
		g.cluster("backend", []string{address}, settings)
		r, w := io.Pipe()
		response, err := g.client(true).Do(g.request(http.MethodPost, "/", io.MultiReader(strings.NewReader("hello\n"), r)))
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(response.Body)
		for _, line := range []string{"hello\n", "a\n", "b\n"} {
			if line != "hello\n" {
				if _, err := io.WriteString(w, line); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := lines.ReadString('\n'); got != line || err != nil {
				t.Fatalf("got %q, %v; want %q", got, err, line)
			}
		}
		_ = w.Close() // a pipe's can't fail
		if rest, err := io.ReadAll(lines); len(rest) > 0 || err != nil {
			t.Errorf("at the end: %q, %v", rest, err)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestContinue(t *testing.T) {
	t.Parallel()
	g := newGateway(t, toBackend)
	g.cluster("backend", []string{backend(t, echo)})
	conn := g.dial()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	first, err := http.ReadResponse(reader, nil)
	if err != nil || first.StatusCode != http.StatusContinue {
		t.Fatalf("got %v, %v; want 100", first, err)
	}
	if _, err := io.WriteString(conn, "a"); err != nil {
		t.Fatal(err)
	}
	second, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if seen := g.read(second).seen(t); seen.Header.Get("Expect") != "" {
		t.Errorf("the backend sees %v", seen.Header)
	}
}

// TestPipeline: a connection is used again after each response, whatever became of its request.
func TestPipeline(t *testing.T) {
	t.Parallel()
	g := newGateway(t, toBackend)
	g.cluster("backend", []string{backend(t, echo)})
	conn := g.dial()
	const get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
	if _, err := io.WriteString(conn, strings.Repeat(get, 3)); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	for range 3 {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		g.read(response)
	}
}

const webSocketRoute = `
  - {match: {prefix: /}, route: {cluster: backend, timeout: 0s, idleTimeout: 0s, upgradeConfigs: [{upgradeType: websocket}]},
     requestHeadersToAdd: [{header: {key: x-a, value: b}}], responseHeadersToAdd: [{header: {key: x-c, value: d}}]}
`

func TestWebSocket(t *testing.T) {
	t.Parallel()
	g := newGateway(t, webSocketRoute)
	closed := make(chan struct{})
	server := websocket.Server{Handler: func(c *websocket.Conn) {
		defer close(closed)
		if c.Request().Header.Get("X-A") != "b" {
			t.Errorf("the backend sees %v", c.Request().Header)
		}
		for message := ""; websocket.Message.Receive(c, &message) == nil; {
			_ = websocket.Message.Send(c, message) // until the client is gone
		}
	}}
	g.cluster("backend", []string{backend(t, server.ServeHTTP)})
	conn, err := websocket.Dial("ws://"+g.address+"/chat", "", "http://"+g.address)
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range []string{"hello", strings.Repeat("a", 10<<10)} {
		if err := websocket.Message.Send(conn, message); err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if err := websocket.Message.Receive(conn, &got); err != nil || got != message {
			t.Errorf("got %d bytes, %v; want %d", len(got), err, len(message))
		}
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	<-closed
	// Requests that are no handshake pass too.
	g.cluster("backend", []string{backend(t, echo)})
	if got := g.get("/chat"); got.StatusCode != http.StatusOK || got.Header.Get("X-C") != "d" {
		t.Errorf("got %s %v", got.Status, got.Header)
	}
}

// TestUpgradeRefused: what the backend says instead is passed on.
func TestUpgradeRefused(t *testing.T) {
	t.Parallel()
	g := newGateway(t, webSocketRoute)
	g.cluster("backend", []string{backend(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, r.Header.Get("Connection")+" "+r.Header.Get("Upgrade"), http.StatusTeapot)
	})})
	got, err := g.raw("GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if got.StatusCode != http.StatusTeapot || strings.TrimSpace(got.body) != "Upgrade WebSocket" {
		t.Errorf("got %s %q", got.Status, got.body)
	}
}

func TestUpgradeIdle(t *testing.T) {
	t.Parallel()
	g := newGateway(t, strings.Replace(webSocketRoute, "idleTimeout: 0s", "idleTimeout: 0.5s", 1))
	closed := make(chan struct{})
	server := websocket.Server{Handler: func(c *websocket.Conn) {
		defer close(closed)
		_, _ = io.Copy(c, c) // until the gateway ends it
	}}
	g.cluster("backend", []string{backend(t, server.ServeHTTP)})
	conn, err := websocket.Dial("ws://"+g.address+"/chat", "", "http://"+g.address)
	if err != nil {
		t.Fatal(err)
	}
	<-closed
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
	_ = conn.Close() // it is closed
}
