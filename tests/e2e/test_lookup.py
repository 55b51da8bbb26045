"""A name look-up that hangs for ten seconds: who asks for that name gets an error, everybody else an answer, and the
gateway ends in time."""

import os
import signal
import subprocess
import tempfile
import time
import unittest

import gateway
from gateway import Client, Emulator, Gateway

SLOW = {
    "account": "SLOW", "user": "DEMO", "host": "slow.example", "protocol": "https",
    "authenticator": "programmatic_access_token", "token": gateway.TOKEN, "role": "SYSADMIN",
}


class Lookup(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="snowgate-lookup-")
        library = os.path.join(cls.folder.name, "slow_lookup.so")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "slow_lookup.c")
        subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        cls.emulator = Emulator()
        os.environ["LD_PRELOAD"] = library
        try:
            cls.gateway = Gateway(cls.emulator, {
                "snowflake": {"connect_timeout": "2s", "retries": 0, "connections": {"slow": SLOW}},
                "policies": [{"name": "slow", "match": {"principal": "slow"}, "connection": "slow"},
                             {"name": "rest", "connection": "demo"}],
            }, keys=("slow", "fast"))
        finally:
            del os.environ["LD_PRELOAD"]

    @classmethod
    def tearDownClass(cls):
        cls.gateway.stop()
        cls.emulator.stop()
        cls.folder.cleanup()

    def client(self, name):
        client = Client(self.gateway, key=self.gateway.keys[name], modern=True)
        self.addCleanup(client.close)
        return client

    def test_others_are_served_and_the_caller_is_told(self):
        slow = self.client("slow").start("execute_query", query="SELECT 1")
        began = time.monotonic()
        for i in range(20):
            self.assertEqual(self.client("fast").query(f"SELECT {i}").rows, [[i]])
        self.assertLess(time.monotonic() - began, 1.5)
        answer = slow.answer()
        self.assertLess(time.monotonic() - began, 8)
        self.assertTrue(answer.is_error)
        self.assertIn("slow.example", answer.text)
        self.assertIn("snowflake.connections.slow.host", answer.text)

    def test_zz_the_gateway_ends_while_a_lookup_hangs(self):
        slow = self.client("slow").start("execute_query", query="SELECT 2")
        gateway.wait_for(lambda: self.gateway.metric("snowgate_upstream_in_flight") >= 1, 5, "the look-up")
        began = time.monotonic()
        self.gateway.process.signal(signal.SIGTERM)
        self.assertTrue(slow.answer().is_error)
        self.assertEqual(self.gateway.process.wait(9), 0)
        self.assertLess(time.monotonic() - began, 7)


if __name__ == "__main__":
    gateway.main()
