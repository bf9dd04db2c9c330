package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"math/big"

	"k8s.io/client-go/util/keyutil"
)

// maxSerial is above all serial numbers: RFC 5280 allows 20 octets, of which the first bit is 0.
var maxSerial = new(big.Int).Lsh(big.NewInt(1), 127)

func newKey() (crypto.Signer, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	pem, err := keyutil.MarshalPrivateKeyToPEM(key)
	return key, pem, err
}
