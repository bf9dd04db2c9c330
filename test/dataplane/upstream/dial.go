package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
)

// Dial connects to a host of the cluster by TCP, and in TLS if the cluster has a transport socket. The connection has the
// method CloseWrite. Errors are ErrConnect, ErrOverflow or the cause of ctx's end.
func (c *Cluster) Dial(ctx context.Context, h *Host) (net.Conn, error) {
	if !c.limits.connections.take() {
		return nil, fmt.Errorf("%w: max_connections", ErrOverflow)
	}
	return c.connect(ctx, "tcp", h.address.String())
}

// DialUDP returns a UDP socket that is connected to a host of the cluster. Errors are those of Dial.
func (c *Cluster) DialUDP(ctx context.Context, h *Host) (net.Conn, error) {
	if !c.limits.connections.take() {
		return nil, fmt.Errorf("%w: max_connections", ErrOverflow)
	}
	return c.connect(ctx, "udp", h.address.String())
}

// connect connects within connect_timeout. The connection has been counted; it is until it is closed.
func (c *Cluster) connect(ctx context.Context, network, address string) (net.Conn, error) {
	within, cancel := context.WithTimeout(ctx, c.connectTimeout)
	defer cancel()
	dialer := net.Dialer{KeepAlive: -1} // Envoy probes connections if upstream_connection_options says so
	inner, err := dialer.DialContext(within, network, address)
	if err == nil && network == "tcp" && c.tls != nil {
		secured := tls.Client(inner, c.tls)
		if err = secured.HandshakeContext(within); err != nil {
			_ = inner.Close() // of a handshake that failed, there is nothing more to learn
		}
		inner = secured
	}
	if err != nil {
		c.limits.connections.release()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%w: %w", ErrConnect, err)
	}
	return &conn{Conn: inner, release: sync.OnceFunc(c.limits.connections.release)}, nil
}

// conn is a connection that counts until it is closed.
type conn struct {
	net.Conn
	release func()
}

func (c *conn) Close() error {
	c.release()
	return c.Conn.Close()
}

// CloseWrite says that nothing more is to come, as [net.TCPConn.CloseWrite] and [tls.Conn.CloseWrite] do.
func (c *conn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("closing %T for writing: %w", c.Conn, errors.ErrUnsupported)
	}
	return half.CloseWrite()
}
