#!/usr/bin/env python3
"""An outage of Snowflake under 200 clients: failures are fast and say what to do, few requests are made while it lasts,
and none too many when it is over."""

import os
import sys
import unittest

import gateway
from gateway import LONG, Client, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
import outage  # noqa: E402

SECONDS, OPEN, BEFORE = (60, 5, 10) if LONG else (6, 0.5, 5)
LONGEST = 6 * OPEN * 1.1  # between two probes
PEOPLE = ["p%d" % i for i in range(8)]


class Outage(unittest.TestCase):
    def setUp(self):
        self.emulator = gateway.Emulator("--stub")
        self.addCleanup(self.emulator.stop)
        conf = {"breaker_open": f"{OPEN * 1000:.0f}ms", "max_in_flight": 32}
        self.gateway = gateway.Gateway(self.emulator, {"snowflake": conf}, keys=PEOPLE)
        self.addCleanup(self.gateway.stop)

    def outage(self, status, after=2 * LONGEST + 3, **how):
        keys = [self.gateway.keys[name] for name in PEOPLE]
        return outage.run(self.gateway.port, keys, self.emulator.port, status, SECONDS, after, BEFORE, **how)

    def judge(self, seen):
        self.assert_fast_while_open(seen)
        self.assert_few_requests(seen)
        self.assertLess(seen.recovered(), 2 * LONGEST)
        before = seen.most(seen.requests, -BEFORE + 1, 0)
        self.assertLess(seen.most(seen.requests, SECONDS, 1 << 30), before * 1.5 + 20)
        self.assert_nothing_is_left()

    def assert_fast_while_open(self, seen):
        """From the third second on the breaker is open; then only a probe takes its time."""
        failed = [a for a in seen.asked(3, SECONDS - 0.5) if not a.good]
        self.assertGreater(len(failed), 100)
        self.assertLess(outage.percentile([a.took for a in failed], 0.99), 0.5)
        refused = [a for a in failed if "nothing is sent to it for now" in a.text]
        self.assertGreater(len(refused), len(failed) * 0.9)
        for answer in refused:
            self.assertIn("127.0.0.1 keeps failing", answer.text)
            self.assertTrue(answer.error["retryable"])
            self.assertGreater(answer.error["retryAfterMs"], 0)
            self.assertLessEqual(answer.error["retryAfterMs"], LONGEST * 1000)

    def assert_few_requests(self, seen):
        """No more than the probes, and what was on its way."""
        during = [n for second, n in seen.submits.items() if 4 <= second < SECONDS - 1]
        self.assertLessEqual(sum(during), (SECONDS - 5) / OPEN + 2)

    def assert_nothing_is_left(self):
        opened = self.gateway.log("breaker_open")
        self.assertTrue(opened and opened[0]["last"], opened)
        self.assertEqual(len(self.gateway.log("breaker_closed")), 1)
        for name in ("snowgate_breakers_open", "snowgate_lane_in_flight", "snowgate_lane_waiting"):
            wait_for(lambda: self.gateway.metric(name) == 0, 5, name)
        with Client(self.gateway, key=self.gateway.keys[PEOPLE[0]], modern=True) as client:
            self.assertFalse(client.query("SELECT 1").is_error)

    def test_connections_are_reset(self):
        self.judge(self.outage("refuse"))

    def test_503(self):
        seen = self.outage(503)
        self.judge(seen)
        self.assertGreater(self.gateway.metric('snowgate_lane_changes_total{change="lowered"}'), 0)
        self.assertGreater(self.gateway.metric('snowgate_lane_changes_total{change="raised"}'), 0)

    def test_429_lowers_the_cap_and_opens_nothing(self):
        self.outage(429, 3, clients=50)
        self.assertEqual(self.gateway.log("breaker_open"), [])
        self.assertGreater(self.gateway.metric('snowgate_lane_changes_total{change="lowered"}'), 0)
        self.assertTrue(self.gateway.log("warehouse_cap"))


if __name__ == "__main__":
    gateway.main()
