"""How fast results are read and written, beside jansson's load and dump of the same bytes: decode.c, over the gateway's
own sources."""

import os
import subprocess

from harness import HERE, head, row

ROOT = os.path.join(HERE, "..", "..")
SOURCES = {"sql": ("resultset", "resultset_rows", "rows", "columns", "cells", "sink", "semi", "epoch", "text"),
           "base": ("buf", "arena", "base"), "core": ("json",)}


def measure(bench, quick):
    sources = [os.path.join(ROOT, "src", layer, name + ".c") for layer, names in SOURCES.items() for name in names]
    program = bench.compile("decode", "-I" + os.path.join(ROOT, "include"), *sources, "-ljansson", "-lm")
    told, *lines = subprocess.run([program, "10" if quick else "100"], check=True, text=True,
                                  stdout=subprocess.PIPE).stdout.splitlines()
    head(told, "MB/s in", "MB out", "x jansson")
    for line in lines:
        row(*line.split("\t"))
