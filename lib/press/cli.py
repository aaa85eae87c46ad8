"""The command line behind the Makefile: `python -m press VERB`. Imports are late, because builds start it often."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from press.layout import Layout
from press.problems import Problem


def _chapter(layout: Layout, args: argparse.Namespace) -> int:
    from press import one

    if not args.slug:
        raise Problem("which chapter? make chapter CHAPTER=<slug> [PROFILE=smoke|book|full] [SEED=k] [OUT=folder]")
    return one.run_chapter(layout, args.slug, profile=one.parse_profile(args.profile), seed=one.parse_seed(args.seed),
                           given=one.parse_parameters(args.params), out=args.out or None, nbval=args.nbval)


def _book(layout: Layout, args: argparse.Namespace) -> int:
    from press import book, one

    return book.build(layout, profile=one.parse_profile(args.profile), seed=one.parse_seed(args.seed),
                      until=args.until, wait=not args.no_wait, jobs=args.jobs)


def _execute(layout: Layout, args: argparse.Namespace) -> int:
    from press import jobs

    return jobs.run_execute(layout, args.job)


def _validate(layout: Layout, args: argparse.Namespace) -> int:
    from press import jobs

    return jobs.run_validate(layout, args.job)


def _stage(layout: Layout, args: argparse.Namespace) -> int:
    from press import jobs, one

    return jobs.run_stage(layout, one.parse_profile(args.profile), one.parse_seed(args.seed), args.stamp)


def _site(layout: Layout, args: argparse.Namespace) -> int:
    from press import jobs

    return jobs.run_site(layout, args.staged, args.stamp)


def _serve(layout: Layout, args: argparse.Namespace) -> int:
    from press import serve

    return serve.serve(layout, args.port)


def _new(layout: Layout, args: argparse.Namespace) -> int:
    from press import scaffold

    return scaffold.new(layout, args.slug, args.part)


def _notebooks(layout: Layout, args: argparse.Namespace) -> int:
    from press import download

    return download.write(layout)


def _lab(layout: Layout, args: argparse.Namespace) -> int:
    from press import tools

    return tools.lab(layout, args.rest)


def _test(layout: Layout, args: argparse.Namespace) -> int:
    from press import tools

    return tools.test(layout, args.rest)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="press", description="Turns chapters into a checked site.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, run, text: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    def profile(made: argparse.ArgumentParser) -> None:
        made.add_argument("--profile", default="book", help="smoke, book or full")
        made.add_argument("--seed", default=None, help="a whole number; default: the chapter's own")

    chapter = verb("chapter", _chapter, "execute one chapter; leave its notebook and claims.json in a folder")
    chapter.add_argument("slug", nargs="?", default="")
    profile(chapter)
    chapter.add_argument("--params", default="", help='such as "n_steps=5 lr=0.1"')
    chapter.add_argument("--out", default="", help="default: _build/out/<slug>")
    chapter.add_argument("--nbval", action="store_true", help="also execute it a second time and compare outputs")

    book = verb("book", _book, "execute, validate and build the whole book")
    profile(book)
    book.add_argument("--until", choices=("executed", "validated", "site"), default="site", help="stop after this step")
    book.add_argument("--no-wait", action="store_true", help="end at once when another build is running")
    book.add_argument("--jobs", type=int, default=None, help="jobs at once; default: 2, or 1 on one core")

    for name, run, text in (("execute", _execute, "one job of the graph: papermill on one chapter"),
                            ("validate", _validate, "one job of the graph: nbval on one chapter")):
        verb(name, run, text).add_argument("job")
    stage = verb("stage", _stage, "one job of the graph: merge and stage the sources of the site")
    profile(stage)
    stage.add_argument("--stamp", required=True)
    site = verb("site", _site, "one job of the graph: build the staged site and put it in place")
    site.add_argument("--staged", required=True)
    site.add_argument("--stamp", required=True)

    serve = verb("serve", _serve, "show the built site on this machine")
    serve.add_argument("--port", default="8000")
    new = verb("new", _new, "start a chapter")
    new.add_argument("slug", nargs="?", default="")
    new.add_argument("--part", default="")
    verb("notebooks", _notebooks, "write every chapter as a plain notebook below _build/notebooks")
    for name, run, text in (("lab", _lab, "JupyterLab, where chapters open as notebooks"),
                            ("test", _test, "pytest, without the slow tests")):
        verb(name, run, text).add_argument("rest", nargs=argparse.REMAINDER)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        return args.run(Layout(Path.cwd()), args)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what was finished is kept, and the next run goes on from there", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1
