// A second opinion on our logs by golang.org/x/mod/sumdb: other people's notes, trees and tiles.
//
//	check <folder> <name+id+key>   a published log, and proofs.json beside it; says what it found
//	make                           the same from leaves on stdin: what Go itself would publish
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type inclusion struct {
	Index int64       `json:"index"`
	Size  int64       `json:"size"`
	Proof []tlog.Hash `json:"proof"`
}

type consistency struct {
	OldSize int64       `json:"old_size"`
	Size    int64       `json:"size"`
	Proof   []tlog.Hash `json:"proof"`
}

type proofs struct {
	Inclusion   []inclusion   `json:"inclusion"`
	Consistency []consistency `json:"consistency"`
}

type wanted struct {
	Name   string   `json:"name"`
	Seed   string   `json:"seed"`
	Leaves []string `json:"leaves"`
	proofs
}

type made struct {
	Key   string            `json:"key"`
	Files map[string]string `json:"files"`
	proofs
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "check" {
		check(os.Args[2], os.Args[3])
	} else if len(os.Args) == 2 && os.Args[1] == "make" {
		publish()
	} else {
		fail("check <folder> <key>, or make", nil)
	}
}

func fail(what string, err error) {
	fmt.Fprintln(os.Stderr, "WRONG", what, err)
	os.Exit(1)
}

func must[T any](value T, err error) T {
	if err != nil {
		fail("", err)
	}
	return value
}

// c2sp is a tile's path without the height, as C2SP tlog-tiles has it.
func c2sp(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
}

// folder reads tiles; tlog itself authenticates what it reads against the tree's root.
type folder string

func (place folder) Height() int { return height }

func (place folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (place folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		data, err := os.ReadFile(filepath.Join(string(place), c2sp(tile)))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (place folder) leaves(size int64) [][]byte {
	var all [][]byte
	for _, tile := range tlog.NewTiles(height, 0, size) {
		if tile.L != 0 {
			continue
		}
		tile.L = -1 // sumdb's word for the entries themselves
		path := strings.Replace(c2sp(tile), "tile/data/", "tile/entries/", 1)
		raw := must(os.ReadFile(filepath.Join(string(place), path)))
		for len(raw) > 0 {
			if len(raw) < 2 || len(raw) < 2+int(binary.BigEndian.Uint16(raw)) {
				fail("entries", nil)
			}
			length := int(binary.BigEndian.Uint16(raw))
			all = append(all, raw[2:2+length])
			raw = raw[2+length:]
		}
	}
	return all
}

func check(place, vkey string) {
	verifier := must(note.NewVerifier(vkey))
	signed := must(os.ReadFile(filepath.Join(place, "checkpoint")))
	opened := must(note.Open(signed, note.VerifierList(verifier)))
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != verifier.Name() {
		fail("origin", nil)
	}
	size := must(strconv.ParseInt(lines[1], 10, 64))
	tree := tlog.Tree{N: size, Hash: must(tlog.ParseHash(lines[2]))}
	reader := tlog.TileHashReader(tree, folder(place))
	if must(tlog.TreeHash(size, reader)) != tree.Hash {
		fail("root", nil)
	}
	leaves := folder(place).leaves(size)
	if int64(len(leaves)) != size {
		fail("number of leaves", nil)
	}
	for index, leaf := range leaves {
		held := must(reader.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(index))}))
		if held[0] != tlog.RecordHash(leaf) {
			fail(fmt.Sprintf("leaf %d", index), nil)
		}
	}
	var ours proofs
	if err := json.Unmarshal(must(os.ReadFile(filepath.Join(place, "proofs.json"))), &ours); err != nil {
		fail("proofs.json", err)
	}
	root := func(size int64) tlog.Hash { return must(tlog.TreeHash(size, reader)) }
	for _, each := range ours.Inclusion {
		leaf := tlog.RecordHash(leaves[each.Index])
		if err := tlog.CheckRecord(each.Proof, each.Size, root(each.Size), each.Index, leaf); err != nil {
			fail(fmt.Sprintf("inclusion of %d in %d", each.Index, each.Size), err)
		}
	}
	for _, each := range ours.Consistency {
		old, now := root(each.OldSize), root(each.Size)
		if err := tlog.CheckTree(each.Proof, each.Size, now, each.OldSize, old); err != nil {
			fail(fmt.Sprintf("consistency of %d and %d", each.OldSize, each.Size), err)
		}
	}
	fmt.Printf("%d leaves, %d inclusion proofs, %d consistency proofs\n",
		size, len(ours.Inclusion), len(ours.Consistency))
}

// memory holds the hashes of a tree in the order in which sumdb stores them.
type memory []tlog.Hash

func (held memory) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var all []tlog.Hash
	for _, index := range indexes {
		all = append(all, held[index])
	}
	return all, nil
}

func publish() {
	var asked wanted
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fail("stdin", err)
	}
	var held memory
	size := int64(len(asked.Leaves))
	bundles := map[int64]*bytes.Buffer{}
	for index, leaf := range asked.Leaves {
		raw := must(hex.DecodeString(leaf))
		held = append(held, must(tlog.StoredHashes(int64(index), raw, held))...)
		bundle := int64(index) >> height
		if bundles[bundle] == nil {
			bundles[bundle] = &bytes.Buffer{}
		}
		must(0, binary.Write(bundles[bundle], binary.BigEndian, uint16(len(raw))))
		bundles[bundle].Write(raw)
	}
	signer, vkey := keys(asked)
	root := must(tlog.TreeHash(size, held))
	text := fmt.Sprintf("%s\n%d\n%s\n", asked.Name, size, root)
	answer := made{Key: vkey, Files: map[string]string{}}
	put := func(path string, raw []byte) {
		answer.Files[path] = base64.StdEncoding.EncodeToString(raw)
	}
	put("checkpoint", must(note.Sign(&note.Note{Text: text}, signer)))
	for _, tile := range tlog.NewTiles(height, 0, size) {
		put(c2sp(tile), must(tlog.ReadTileData(tile, held)))
		if tile.L == 0 {
			path := strings.Replace(c2sp(tile), "tile/0/", "tile/entries/", 1)
			put(path, bundles[tile.N].Bytes())
		}
	}
	for _, each := range asked.Inclusion {
		each.Proof = must(tlog.ProveRecord(each.Size, each.Index, held))
		answer.Inclusion = append(answer.Inclusion, each)
	}
	for _, each := range asked.Consistency {
		each.Proof = must(tlog.ProveTree(each.Size, each.OldSize, held))
		answer.Consistency = append(answer.Consistency, each)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		fail("stdout", err)
	}
}

// keys are a signer and its verifier key, from a seed.
func keys(asked wanted) (note.Signer, string) {
	seed := must(hex.DecodeString(asked.Seed))
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	vkey := must(note.NewEd25519VerifierKey(asked.Name, public))
	sum := sha256.Sum256(append([]byte(asked.Name+"\n\x01"), public...))
	encoded := base64.StdEncoding.EncodeToString(append([]byte{1}, seed...))
	skey := fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", asked.Name, binary.BigEndian.Uint32(sum[:4]), encoded)
	return must(note.NewSigner(skey)), vkey
}
