//go:build linux

package node

import (
	"encoding/binary"
	"fmt"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// redirect has TCP connections from a network namespace that aren't the sidecar's go to the sidecar.
func redirect(network *os.File) error {
	conn, err := nftables.New(nftables.WithNetNSFd(int(network.Fd())))
	if err != nil {
		return err
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "sidecar"})
	chain := conn.AddChain(&nftables.Chain{
		Table: table, Name: "output", Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest,
	})
	for _, rule := range [][]expr.Any{
		{ // meta oifname "lo" return
			&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: interfaceName("lo")},
			&expr.Verdict{Kind: expr.VerdictReturn},
		},
		{ // meta skuid 1337 return
			&expr.Meta{Key: expr.MetaKeySKUID, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(SidecarUser)},
			&expr.Verdict{Kind: expr.VerdictReturn},
		},
		{ // meta l4proto tcp redirect to :15001
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
			&expr.Immediate{Register: 1, Data: port(SidecarPort)},
			&expr.Redir{RegisterProtoMin: 1},
		},
	} {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: rule})
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("redirecting to the sidecar: %w", err)
	}
	return nil
}

// interfaceName is a name as the kernel compares it.
func interfaceName(name string) []byte {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return padded
}

// port is a port as it is in packets.
func port(number uint16) []byte { return binary.BigEndian.AppendUint16(nil, number) }
