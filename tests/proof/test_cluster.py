#!/usr/bin/env python3
"""The cluster in short: three replicas behind nginx, a kill, a failover of their store, and nothing of what was
acknowledged is lost. SNOWGATE_LONG=1: 200 clients for ten minutes. Programs from $SNOWGATE_BUILD or --build FOLDER."""

import random
import shutil
import unittest

import cluster

import gateway  # on the path by cluster


@unittest.skipUnless(shutil.which("redis-server") and cluster.nginx(), "redis-server or nginx is not installed")
class Replicas(unittest.TestCase):
    def run_with(self, *options):
        told = []
        broken = cluster.run(cluster.arguments("--seed", str(random.randrange(1 << 20)), *options), told.append)
        self.assertEqual(broken, [], "\n".join(told))
        print("\n".join(told), flush=True)

    def test_killed_and_failed_over(self):
        self.run_with("--clients", "30", "--seconds", "25", "--kill-every", "12", "--restarts", "0", "--pace", "0.3")

    @unittest.skipUnless(gateway.LONG, "ten minutes: SNOWGATE_LONG=1")
    def test_ten_minutes(self):
        self.run_with("--pace", "1.5", "--kill-every", "15")

    def test_losses_are_found(self):
        """Each replica keeps its sessions to itself: the others do not know them."""
        told = []
        broken = cluster.run(cluster.arguments("--seed", "1", "--clients", "6", "--seconds", "4", "--restarts", "0",
                                               "--failovers", "0", "--kill-every", "100", "--kills-n", "0"),
                             told.append, {"store": {"kind": "memory"}})
        self.assertIn("is gone", str(broken))


if __name__ == "__main__":
    gateway.main()
