// Follows a log over HTTP as any client of C2SP tlog-tiles would, with the Go project's own notes and trees.
//
// It verifies the checkpoint, recomputes the tree from the tiles up to its root, and proves every entry of every bundle in it. It prints
// "ok <entries>", or the first thing that does not hold.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type input struct {
	Prefix string
	Key    string // verifier key of the log
	CA     string // PEM
	Token  string
}

const height = 8

type log struct {
	input
	client *http.Client
}

func main() {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		fail(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(in.CA))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	count, err := log{in, &http.Client{Transport: transport}}.follow()
	if err != nil {
		fail(err)
	}
	fmt.Println("ok", count)
}

func fail(err error) {
	fmt.Println(err)
	os.Exit(1)
}

func (l log) get(path, media string) ([]byte, error) {
	request, err := http.NewRequest("GET", l.Prefix+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+l.Token)
	response, err := l.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != media {
		return nil, fmt.Errorf("%s: %s %s %s", path, response.Status, response.Header.Get("Content-Type"), body)
	}
	return body, nil
}

func (l log) follow() (int64, error) {
	tree, err := l.checkpoint()
	if err != nil {
		return 0, fmt.Errorf("checkpoint: %w", err)
	}
	reader := tlog.TileHashReader(tree, tiles{l, map[string][]byte{}})
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil || root != tree.Hash {
		return 0, fmt.Errorf("root: %v, %w", root, err)
	}
	for first := int64(0); first < tree.N; first += 1 << height {
		width := int(min(tree.N-first, 1<<height))
		entries, err := l.bundle(tlog.Tile{H: height, L: 0, N: first >> height, W: width})
		if err != nil {
			return 0, fmt.Errorf("bundle: %w", err)
		}
		for at, entry := range entries {
			index := first + int64(at)
			proof, err := tlog.ProveRecord(tree.N, index, reader)
			if err != nil {
				return 0, fmt.Errorf("proof of %d: %w", index, err)
			}
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
				return 0, fmt.Errorf("entry %d: %w", index, err)
			}
		}
	}
	return tree.N, nil
}

func (l log) checkpoint() (tlog.Tree, error) {
	var tree tlog.Tree
	signed, err := l.get("checkpoint", "text/plain; charset=utf-8")
	if err != nil {
		return tree, err
	}
	verifier, err := note.NewVerifier(l.Key)
	if err != nil {
		return tree, err
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != verifier.Name() {
		return tree, fmt.Errorf("the origin is %q", lines[0])
	}
	if _, err := fmt.Sscanf(lines[1], "%d", &tree.N); err != nil {
		return tree, err
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return tree, err
}

func (l log) bundle(tile tlog.Tile) ([][]byte, error) {
	// tile/8/data/<N> is how Go writes what C2SP calls tile/entries/<N>.
	path := strings.Replace(tlog.Tile{H: tile.H, L: -1, N: tile.N, W: tile.W}.Path(), "tile/8/data/", "tile/entries/", 1)
	body, err := l.get(path, "application/octet-stream")
	if err != nil {
		return nil, err
	}
	entries := make([][]byte, 0, tile.W)
	for len(body) > 0 {
		if len(body) < 2 || len(body) < 2+int(binary.BigEndian.Uint16(body)) {
			return nil, fmt.Errorf("%s ends inside an entry", path)
		}
		end := 2 + int(binary.BigEndian.Uint16(body))
		entries, body = append(entries, body[2:end]), body[end:]
	}
	if len(entries) != tile.W {
		return nil, fmt.Errorf("%s holds %d entries", path, len(entries))
	}
	return entries, nil
}

// tiles reads what the tree needs; the reader above refuses what does not lead to the signed root.
type tiles struct {
	log
	kept map[string][]byte // what a path answers once it answers for ever
}

func (tiles) Height() int { return height }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(wanted))
	for at, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		if t.kept[path] == nil {
			body, err := t.get(path, "application/octet-stream")
			if err != nil {
				return nil, err
			}
			t.kept[path] = body
		}
		data[at] = t.kept[path]
	}
	return data, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}
