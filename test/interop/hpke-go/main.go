// Opens what `reeve deposit export` gave, by Go's own HPKE (RFC 9180): JSON on standard input, the value on standard output.
package main

import (
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
)

type given struct {
	Private, Info, Aad, Enc, Ciphertext string
}

func main() {
	var in given
	must(json.NewDecoder(os.Stdin).Decode(&in))
	raw, err := ecdh.X25519().NewPrivateKey(decoded(in.Private))
	must(err)
	key, err := hpke.NewDHKEMPrivateKey(raw)
	must(err)
	recipient, err := hpke.NewRecipient(decoded(in.Enc), key, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(in.Info))
	must(err)
	value, err := recipient.Open([]byte(in.Aad), decoded(in.Ciphertext))
	must(err)
	_, err = os.Stdout.Write(value)
	must(err)
}

func decoded(text string) []byte {
	raw, err := base64.StdEncoding.DecodeString(text)
	must(err)
	return raw
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
