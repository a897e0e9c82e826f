package main

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"emukp/scenarios"
	"emukp/scenarios/lang"
)

// A job is one scenario on one architecture.
type job struct {
	arg  string // what the command line calls the scenario
	path string // of its file, if it has one
	sum  string // of its text
	sc   *lang.Scenario
	arch string
	opts scenarios.Options
}

// plan parses the sources and makes the jobs. Files that are wrong come back
// as results, and then nothing is to be run.
func plan(sources []source, arch string, opts scenarios.Options) (jobs []job, bad []*scenarios.Result) {
	for _, src := range sources {
		sc, err := src.parse()
		if err != nil {
			bad = append(bad, invalid(src.file, strings.Split(err.Error(), "\n")))
			continue
		}
		o := opts
		o.ReadFile = src.read
		for _, a := range sc.Archs {
			if arch == "" || a == arch {
				jobs = append(jobs, job{src.arg, src.path, sum(src.text), sc, a, o})
			}
		}
	}
	return jobs, bad
}

func invalid(file string, problems []string) *scenarios.Result {
	name := strings.TrimSuffix(path.Base(file), path.Ext(file))
	return &scenarios.Result{Name: name, File: file, Status: scenarios.Invalid, Problems: problems}
}

// inOrder does f for each job, several at a time, and hands over the results
// in the order of the jobs as soon as they are there. It ends early with ctx.
func inOrder(ctx context.Context, jobs []job, workers int, f func(job) *scenarios.Result, done func(job, *scenarios.Result)) {
	slots := make(chan struct{}, max(workers, 1))
	results := make([]chan *scenarios.Result, len(jobs))
	for i := range results {
		results[i] = make(chan *scenarios.Result, 1)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for i, j := range jobs {
			select {
			case <-ctx.Done():
				return
			case slots <- struct{}{}:
			}
			wg.Go(func() {
				results[i] <- f(j)
				<-slots
			})
		}
	})
	for i, ch := range results {
		select {
		case r := <-ch:
			done(jobs[i], r)
		case <-ctx.Done():
			return
		}
	}
}

// checkAll finds out which jobs can't be run.
func checkAll(ctx context.Context, jobs []job, workers int) (bad []*scenarios.Result) {
	check := func(j job) *scenarios.Result {
		return guarded(j, func() *scenarios.Result { return checkJob(j) })
	}
	inOrder(ctx, jobs, workers, check, func(_ job, r *scenarios.Result) {
		if r != nil {
			bad = append(bad, r)
		}
	})
	return bad
}

// checkJob is nil for a job that can be run.
func checkJob(j job) *scenarios.Result {
	errs := scenarios.Check(j.sc, j.arch, j.opts)
	if len(errs) == 0 {
		return nil
	}
	r := &scenarios.Result{Name: scenarios.Title(j.sc), File: j.sc.Pos.File, Arch: j.arch, Status: scenarios.Invalid}
	for _, err := range errs {
		r.Problems = append(r.Problems, err.Error())
	}
	return r
}

// problems are the lines of what is wrong, each once: a scenario for two
// architectures has most of its errors twice.
func problems(bad []*scenarios.Result) []string {
	var out []string
	for _, r := range bad {
		for _, p := range r.Problems {
			if !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	return out
}

// runJob runs a job.
func runJob(j job) *scenarios.Result {
	return guarded(j, func() *scenarios.Result { return scenarios.Run(j.sc, j.arch, j.opts) })
}

// guarded makes a defect of emukp itself a result too.
func guarded(j job, f func() *scenarios.Result) (r *scenarios.Result) {
	defer func() {
		if e := recover(); e != nil {
			r = invalid(j.sc.Pos.File, []string{fmt.Sprintf("%s: a defect of emukp: %v", j.sc.Pos.File, e)})
		}
	}()
	return f()
}
