package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"emukp/kernel"
	"emukp/scenarios"
)

// A record is the file of --record.
type record struct {
	Name    string          `json:"name"`
	Arch    string          `json:"arch"`
	CPUs    int             `json:"cpus"`
	SHA256  string          `json:"sha256"` // of the scenario's file
	Choices []kernel.Choice `json:"choices"`
}

func newRecord(j job, choices []kernel.Choice) record {
	return record{scenarios.Title(j.sc), j.arch, j.sc.CPUs, j.sum, choices}
}

func sum(text []byte) string {
	s := sha256.Sum256(text)
	return hex.EncodeToString(s[:])
}

// replay has the one job follow the schedule of --replay.
func replay(c *cli.Command, jobs []job) error {
	name := c.String("replay")
	if name == "" {
		return nil
	}
	r, err := readRecord(name)
	if err == nil {
		err = r.fits(jobs[0])
	}
	if err != nil {
		return fmt.Errorf("--replay: %s: %w", name, err)
	}
	jobs[0].opts.Replay = r.Choices
	return nil
}

// maxRecord is the size of the largest record.
const maxRecord = 256 << 20

func readRecord(name string) (*record, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	switch {
	case err != nil:
		return nil, errors.Unwrap(err)
	case len(data) > maxRecord:
		return nil, fmt.Errorf("not a recorded schedule: more than %d bytes", maxRecord)
	}
	r := &record{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("not a recorded schedule: %s", jsonProblem(err))
	}
	if len(r.Choices) == 0 {
		return nil, errors.New("not a recorded schedule: no choices in it")
	}
	return r, nil
}

// jsonProblem is the error without Go's names of types.
func jsonProblem(err error) string {
	var wrong *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		return fmt.Sprintf("byte %d: %s can't be the value of '%s'", wrong.Offset, article(wrong.Value), wrong.Field)
	case errors.As(err, &wrong):
		return fmt.Sprintf("expected an object, got %s", article(wrong.Value))
	case errors.As(err, &syntax):
		return fmt.Sprintf("byte %d: %v", syntax.Offset, syntax)
	}
	return err.Error()
}

func article(word string) string {
	if strings.ContainsAny(word[:1], "aeiou") {
		return "an " + word
	}
	return "a " + word
}

// fits refuses a record of something else, and one that can't be followed.
func (r *record) fits(j job) error {
	mine := newRecord(j, nil)
	switch {
	case r.Name != mine.Name:
		return fmt.Errorf("a record of scenario %q; this one is %q", r.Name, mine.Name)
	case r.Arch != mine.Arch:
		return fmt.Errorf("a record of a run on %q; this one is on %s", r.Arch, mine.Arch)
	case r.CPUs != 0 && r.CPUs != mine.CPUs:
		return fmt.Errorf("a record of a run on %d CPUs; this one is on %d", r.CPUs, mine.CPUs)
	case r.SHA256 != "" && r.SHA256 != mine.SHA256:
		return fmt.Errorf("scenario %q has changed since it was recorded", mine.Name)
	}
	for i, ch := range r.Choices {
		switch {
		case ch.CPU < 0 || ch.CPU >= j.sc.CPUs:
			return fmt.Errorf("choice %d is CPU %d; there are CPUs 0 to %d", i, ch.CPU, j.sc.CPUs-1)
		case ch.Insns == 0:
			return fmt.Errorf("choice %d is to run no instruction (insns is 0)", i)
		}
	}
	return nil
}
