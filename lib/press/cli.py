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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="press", description="Turns chapters into a checked site.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, run, text: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    chapter = verb("chapter", _chapter, "execute one chapter; leave its notebook and claims.json in a folder")
    chapter.add_argument("slug", nargs="?", default="")
    chapter.add_argument("--profile", default="book", help="smoke, book or full")
    chapter.add_argument("--seed", default=None, help="a whole number; default: the chapter's own")
    chapter.add_argument("--params", default="", help='such as "n_steps=5 lr=0.1"')
    chapter.add_argument("--out", default="", help="default: _build/out/<slug>")
    chapter.add_argument("--nbval", action="store_true", help="also execute it a second time and compare outputs")
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
