// Checks a log over HTTP with Tessera: its fsck hashes every entry, and compares root and tiles with what the log serves; its client
// fetches each entry once more and proves it. It prints "ok <entries>", or the first thing that does not hold.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"k8s.io/klog/v2"
)

type input struct {
	Prefix string
	Key    string // verifier key of the log
	CA     string // PEM
	Token  string
}

func main() {
	klog.InitFlags(nil)
	_ = flag.Set("logtostderr", "false")
	_ = flag.Set("stderrthreshold", "FATAL")
	count, err := check(context.Background())
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ok", count)
}

func check(ctx context.Context) (uint64, error) {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return 0, err
	}
	verifier, err := note.NewVerifier(in.Key)
	if err != nil {
		return 0, err
	}
	log, err := fetcherOf(in)
	if err != nil {
		return 0, err
	}
	if err := fsck.New(verifier.Name(), verifier, log, leafHashes, fsck.Opts{N: 4}).Check(ctx); err != nil {
		return 0, fmt.Errorf("fsck: %w", err)
	}
	return prove(ctx, log, verifier)
}

func fetcherOf(in input) (*client.HTTPFetcher, error) {
	prefix, err := url.Parse(in.Prefix)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(in.CA))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	log, err := client.NewHTTPFetcher(prefix, &http.Client{Transport: transport})
	if err != nil {
		return nil, err
	}
	log.SetAuthorizationHeader("Bearer " + in.Token)
	return log, nil
}

func leafHashes(raw []byte) ([][]byte, error) {
	var bundle api.EntryBundle
	if err := bundle.UnmarshalText(raw); err != nil {
		return nil, err
	}
	hashes := make([][]byte, 0, len(bundle.Entries))
	for _, entry := range bundle.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return hashes, nil
}

func prove(ctx context.Context, log *client.HTTPFetcher, verifier note.Verifier) (uint64, error) {
	checkpoint, _, _, err := client.FetchCheckpoint(ctx, log.ReadCheckpoint, verifier, verifier.Name())
	if err != nil {
		return 0, err
	}
	proofs, err := client.NewProofBuilder(ctx, checkpoint.Size, log.ReadTile)
	if err != nil {
		return 0, err
	}
	for index := uint64(0); index < checkpoint.Size; {
		bundle, err := client.GetEntryBundle(ctx, log.ReadEntryBundle, index/256, checkpoint.Size)
		if err != nil {
			return 0, err
		}
		for _, entry := range bundle.Entries {
			path, err := proofs.InclusionProof(ctx, index)
			if err != nil {
				return 0, err
			}
			leaf := rfc6962.DefaultHasher.HashLeaf(entry)
			if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, checkpoint.Size, leaf, path, checkpoint.Hash); err != nil {
				return 0, fmt.Errorf("entry %d: %w", index, err)
			}
			index++
		}
	}
	return checkpoint.Size, nil
}
