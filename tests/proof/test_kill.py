#!/usr/bin/env python3
"""Nothing acknowledged is lost to kill -9, at random moments and at every kill point, and nothing is done twice where
the holder of a write is stopped: kill.py and stop.py, which tell how to repeat what failed. SNOWGATE_LONG=1: a thousand
kills, two hundred stops."""

import random
import re
import shutil
import sys
import unittest

import kill
import stop

import gateway  # on the path by kill
from gateway import LONG

KILLS, REPLICA_KILLS, STOPS = (1000, 100, 200) if LONG else (100, 10, 12)
LANES = 4
# What a replica passes often; that the others are passed is for the points of the store of one.
REPLICA_POINTS = ("valkey_before", "valkey_sent", "valkey_after", "stream_after", "handle_after")


class Killed(unittest.TestCase):
    def killed(self, **how):
        told = []
        failed = kill.run(seed=random.randrange(1 << 20), lanes=LANES, clients=6, out=told.append, **how)
        text = "\n".join(told)
        self.assertEqual(list(failed), [], text)
        if LONG:
            print(text, flush=True)
        return text

    def test_at_random_and_at_every_point(self):
        text = self.killed(iterations=KILLS, moments="all")
        for name in kill.points():
            self.assertRegex(text, rf"points: .*\b{name} \d+.*; not passed")

    @unittest.skipUnless(shutil.which("redis-server"), "redis-server is not installed")
    def test_one_of_two_replicas(self):
        moments = [name for point in REPLICA_POINTS for name in ("random", point)]
        self.killed(iterations=REPLICA_KILLS, moments=moments, store="valkey")


class Stopped(unittest.TestCase):
    @unittest.skipUnless(shutil.which("redis-server"), "redis-server is not installed")
    def test_a_stream_is_refused_when_its_answer_is_there(self):
        """After the stop the store does not take what came before it: the process lived no longer."""
        told = []
        failed = stop.go(6, 900, LANES, steps=["valkey_before:4"], out=told.append)
        self.assertEqual(list(failed), [], "\n".join(told))

    @unittest.skipUnless(shutil.which("redis-server"), "redis-server is not installed")
    def test_the_holder_of_a_write(self):
        told = []
        failed = stop.go(STOPS, random.randrange(1 << 20), LANES, out=told.append)
        text = "\n".join(told)
        self.assertEqual(list(failed), [], text)
        self.assertGreater(int(re.search(r"\bstopped (\d+)", text).group(1)), STOPS // 2, text)
        if LONG:
            print(text, flush=True)


if __name__ == "__main__":
    sys.exit(gateway.main())
