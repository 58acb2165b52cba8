// Verifies what the ledger publishes with the Go project's own implementation of signed notes and tiled logs.
//
// It reads one JSON case from standard input and prints "ok", or the first thing that does not hold.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type input struct {
	Key         string   // verifier key of the log
	Checkpoint  string   // signed note
	Extra       []string // verifier keys of others that signed
	Entry       string   // base64
	Index       int64
	Inclusion   []string // base64
	OldSize     int64
	OldRoot     string
	Consistency []string
	Tiles       string // folder with the tiles, as they are served
}

func main() {
	if err := verify(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ok")
}

func verify() error {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return err
	}
	verifiers := []note.Verifier{}
	for _, text := range append([]string{in.Key}, in.Extra...) {
		verifier, err := note.NewVerifier(text)
		if err != nil {
			return fmt.Errorf("verifier key: %w", err)
		}
		verifiers = append(verifiers, verifier)
	}
	opened, err := note.Open([]byte(in.Checkpoint), note.VerifierList(verifiers...))
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if len(opened.Sigs) != len(verifiers) {
		return fmt.Errorf("checkpoint: %d signatures of %d verify", len(opened.Sigs), len(verifiers))
	}
	var origin, root64 string
	var tree tlog.Tree
	if _, err := fmt.Sscanf(opened.Text, "%s\n%d\n%s\n", &origin, &tree.N, &root64); err != nil {
		return fmt.Errorf("checkpoint text: %w", err)
	}
	if tree.Hash, err = tlog.ParseHash(root64); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	return verifyTree(in, tree)
}

func verifyTree(in input, tree tlog.Tree) error {
	entry, err := base64.StdEncoding.DecodeString(in.Entry)
	if err != nil {
		return err
	}
	inclusion, err := hashes(in.Inclusion)
	if err != nil {
		return err
	}
	leaf := tlog.RecordHash(entry)
	if err := tlog.CheckRecord(tlog.RecordProof(inclusion), tree.N, tree.Hash, in.Index, leaf); err != nil {
		return fmt.Errorf("inclusion: %w", err)
	}
	consistency, err := hashes(in.Consistency)
	if err != nil {
		return err
	}
	oldRoot, err := tlog.ParseHash(in.OldRoot)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(tlog.TreeProof(consistency), tree.N, tree.Hash, in.OldSize, oldRoot); err != nil {
		return fmt.Errorf("consistency: %w", err)
	}
	// The reader recomputes every tile it uses up to the root and refuses one that does not fit.
	reader := tlog.TileHashReader(tree, folder(in.Tiles))
	for _, index := range []int64{0, in.Index, tree.N - 1} {
		read, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
		if err != nil {
			return fmt.Errorf("tiles: %w", err)
		}
		if index == in.Index && read[0] != leaf {
			return fmt.Errorf("tiles: leaf %d differs", index)
		}
	}
	return nil
}

func hashes(texts []string) ([]tlog.Hash, error) {
	parsed := make([]tlog.Hash, len(texts))
	for at, text := range texts {
		hash, err := tlog.ParseHash(text)
		if err != nil {
			return nil, err
		}
		parsed[at] = hash
	}
	return parsed, nil
}

// folder serves tiles from disk. C2SP paths leave out the height that tlog's have.
type folder string

func (root folder) Height() int { return 8 }

func (root folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for at, tile := range tiles {
		path := "tile/" + tile.Path()[len("tile/8/"):]
		read, err := os.ReadFile(filepath.Join(string(root), filepath.FromSlash(path)))
		if err != nil {
			return nil, err
		}
		data[at] = read
	}
	return data, nil
}

func (root folder) SaveTiles([]tlog.Tile, [][]byte) {}
