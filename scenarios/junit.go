package scenarios

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string     `xml:"name,attr"`
	Class   string     `xml:"classname,attr"`
	File    string     `xml:"file,attr"`
	Failure *junitText `xml:"failure"`
	Error   *junitText `xml:"error"`
	Out     string     `xml:"system-out,omitempty"`
}

type junitText struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the results as JUnit XML, without times, so that the same
// run gives the same bytes.
func WriteJUnit(w io.Writer, results []*Result) error {
	suite := junitSuite{Name: "emukp", Tests: len(results)}
	for _, r := range results {
		c := junitCase{Name: clean(fmt.Sprintf("%s [%s]", r.Name, r.Arch)), Class: clean(r.File), File: clean(r.File),
			Out: clean(strings.Join(r.Log, "\n"))}
		switch r.Status {
		case Fail:
			c.Failure = r.junitText()
			suite.Failures++
		case Crash, Invalid:
			c.Error = r.junitText()
			suite.Errors++
		}
		suite.Cases = append(suite.Cases, c)
	}
	b, err := xml.MarshalIndent(junitSuites{Tests: suite.Tests, Failures: suite.Failures, Errors: suite.Errors,
		Suites: []junitSuite{suite}}, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, b)
	return err
}

func (r *Result) junitText() *junitText {
	lines := append([]string{}, r.Problems...)
	for _, e := range r.Failed() {
		lines = append(lines, fmt.Sprintf("%s: %s: %s", e.Pos, oneLine(e.Expr), e.Actual))
	}
	message := string(r.Status)
	if r.Status == Crash {
		message = firstLine(r.Crash)
	} else if len(lines) > 0 {
		message = firstLine(lines[0])
	}
	if r.Crash != "" {
		lines = append(lines, r.Crash)
	}
	return &junitText{Message: clean(message), Text: clean(strings.Join(lines, "\n"))}
}

// clean drops what XML has no way to hold.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\n' && c != '\t' || c == 0xfffe || c == 0xffff {
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
}
