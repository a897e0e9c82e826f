// SPDX-License-Identifier: GPL-2.0

package guestimg

import (
	"path"
	"path/filepath"
	"strings"
)

// A module's sources lie in the workshop as they do at home, so that
// #include "..." finds the same files from each: a header where its name says,
// which is seen from the folder of the first source; other sources in the folder
// of their File, seen from there too.

// folders are the paths of the sources in the workshop, and that of the folder
// of the first.
func folders(srcs []Source) (paths []string, base string) {
	home, up := "", 0
	for _, s := range srcs {
		if s.Lang != "h" && home == "" {
			home = s.File
		}
	}
	for _, s := range srcs {
		p := path.Clean(s.Name)
		if rel, err := filepath.Rel(path.Dir(home), path.Dir(s.File)); err == nil && s.Lang != "h" && home != "" && s.File != "" {
			p = path.Join(filepath.ToSlash(rel), s.Name)
		}
		paths = append(paths, p)
		up = max(up, strings.Count(p, "../"))
	}
	base = path.Join("in", parents(path.Dir(home), up))
	for i, p := range paths {
		paths[i] = path.Join(base, p)
	}
	return paths, base
}

// parents are the last n folders of a path, for what comes back down to them:
// made-up ones where it has not as many.
func parents(dir string, n int) string {
	names := make([]string, n)
	for i := range names {
		names[n-1-i] = "up"
		if last := path.Base(dir); last != "." && last != ".." && last != "/" {
			names[n-1-i] = last
			dir = path.Dir(dir)
		}
	}
	return path.Join(names...)
}
