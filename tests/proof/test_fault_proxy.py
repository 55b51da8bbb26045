#!/usr/bin/env python3
"""The fault proxy does what it says, against a server of its own that sends back what it gets."""

import os
import socket
import subprocess
import sys
import threading
import time
import unittest

from fault_proxy import FaultProxy


class Echo:
    """Sends back what comes, in the pieces in which it came; remembers the pieces."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pieces, self.accepted, self.ends = [], 0, []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        try:
            with s:
                while data := s.recv(1 << 20):
                    self.pieces.append(data)
                    s.sendall(data)
            self.ends.append("end")
        except OSError as problem:
            self.ends.append(type(problem).__name__)

    def close(self):
        self.listener.close()


class Proxy(unittest.TestCase):
    def setUp(self):
        self.echo = Echo()
        self.addCleanup(self.echo.close)
        self.proxy = FaultProxy(self.echo.port)
        self.addCleanup(self.proxy.close)

    def connect(self, timeout=5):
        s = socket.create_connection(("127.0.0.1", self.proxy.port), timeout)
        self.addCleanup(s.close)
        return s

    def take(self, s, n):
        data = b""
        while len(data) < n:
            piece = s.recv(n - len(data))
            self.assertTrue(piece, f"ended after {len(data)} of {n} bytes")
            data += piece
        return data

    def round(self, s, data=b"hello"):
        """Seconds until the data had come back whole."""
        began = time.monotonic()
        sender = threading.Thread(target=s.sendall, args=(data,))
        sender.start()
        self.assertEqual(self.take(s, len(data)), data)
        sender.join()
        return time.monotonic() - began

    def assert_silent(self, s, seconds=0.2):
        s.settimeout(seconds)
        with self.assertRaises(TimeoutError):
            s.recv(1)
        s.settimeout(5)

    def wait_for(self, what):
        end = time.monotonic() + 5
        while not what():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.005)

    def test_without_a_fault_all_passes(self):
        s = self.connect()
        data = os.urandom(5_000_000)
        self.round(s, data)
        self.assertEqual(self.proxy.bytes, {"up": len(data), "down": len(data)})
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(s.recv(1), b"")
        self.wait_for(lambda: self.echo.ends == ["end"])
        self.assertEqual((self.proxy.connections, self.proxy.resets), (1, 0))

    def test_half_a_close_leaves_the_other_way_open(self):
        self.proxy.set("down", latency=0.2)
        s = self.connect()
        s.sendall(b"last words")
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(self.take(s, 10), b"last words")
        self.assertEqual(s.recv(1), b"")

    def test_latency_of_one_way_and_of_both(self):
        s = self.connect()
        self.assertLess(self.round(s), 0.1)
        self.proxy.set("up", latency=0.15)
        self.assertTrue(0.15 <= self.round(s) < 0.5)
        self.proxy.set(latency=0.15)
        self.assertTrue(0.3 <= self.round(s) < 0.8)
        self.proxy.clear()
        self.assertLess(self.round(s), 0.1)

    def test_latency_does_not_lower_the_rate(self):
        self.proxy.set("up", latency=0.2)
        self.assertLess(self.round(self.connect(), os.urandom(3_000_000)), 2)

    def test_slices_arrive_one_by_one(self):
        self.proxy.set("up", slice=3, pause=0.1)  # a busy machine reads late
        s = self.connect()
        self.round(s, b"0123456789")
        self.assertEqual(b"".join(self.echo.pieces), b"0123456789")
        self.assertLessEqual(max(map(len, self.echo.pieces)), 6)
        self.assertGreaterEqual(len(self.echo.pieces), 3)

    def test_the_rate_is_kept(self):
        self.proxy.set("down", rate=100_000)
        self.assertTrue(0.25 < self.round(self.connect(), os.urandom(40_000)) < 1.5)

    def test_a_blackhole_accepts_and_gives_back_what_it_held(self):
        old = self.connect()
        self.round(old)
        self.proxy.set(blackhole=True)
        new = self.connect()
        for s, data in ((old, b"old"), (new, b"new")):
            s.sendall(data)
            self.assert_silent(s)
        self.assertEqual(self.echo.accepted, 1)
        self.proxy.clear()
        self.assertEqual(self.take(old, 3), b"old")
        self.assertEqual(self.take(new, 3), b"new")

    def test_a_blackhole_of_answers_lets_requests_pass(self):
        self.proxy.set("down", blackhole=True)
        s = self.connect()
        s.sendall(b"request")
        self.wait_for(lambda: self.echo.pieces == [b"request"])
        self.assert_silent(s)
        self.proxy.clear("down")
        self.assertEqual(self.take(s, 7), b"request")

    def test_who_leaves_a_blackhole_is_gone_when_it_is_lifted(self):
        self.proxy.set(blackhole=True)
        s = self.connect()
        s.sendall(b"never mind")
        s.close()
        self.proxy.clear()
        self.wait_for(lambda: not self.proxy.open)

    def test_reset_after_so_many_bytes(self):
        for n in (0, 1, 5, 9999):
            with self.subTest(n=n):
                self.proxy.set("down", reset_after=n)
                s, got = self.connect(), b""
                s.sendall(b"x" * 10_000)
                with self.assertRaises(ConnectionResetError):
                    while True:
                        piece = s.recv(65536)
                        self.assertTrue(piece, "an orderly end instead of a reset")
                        got += piece
                self.assertEqual(len(got), n)
        self.wait_for(lambda: len(self.echo.ends) == 4)
        self.assertEqual(set(self.echo.ends), {"ConnectionResetError"}, "the server's side is reset too")

    def test_bytes_are_counted_from_the_setting_on(self):
        s = self.connect()
        self.round(s, b"x" * 100)
        self.proxy.set("down", reset_after=10)
        s.sendall(b"y" * 9)
        self.assertEqual(self.take(s, 9), b"y" * 9)
        s.sendall(b"zz")
        self.assertEqual(s.recv(10), b"z")
        with self.assertRaises(ConnectionResetError):
            s.recv(1)

    def test_cut_resets_what_is_there_only(self):
        one, two = self.connect(), self.connect()
        self.round(one)
        self.round(two)
        self.assertEqual(self.proxy.cut(), 2)
        for s in (one, two):
            with self.assertRaises(ConnectionResetError):
                s.recv(1)
        self.round(self.connect())

    def test_refuse_and_accept_again(self):
        s, port = self.connect(), self.proxy.port
        self.round(s)
        for _ in range(3):
            self.proxy.refuse()
            with self.assertRaises(ConnectionRefusedError):
                self.connect()
            self.round(s)
            self.proxy.accept()
            self.assertEqual(self.proxy.port, port)
            self.round(self.connect())

    def test_a_server_that_is_not_there_resets(self):
        self.echo.close()
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        with FaultProxy(port) as proxy, self.assertRaises(ConnectionResetError):
            with socket.create_connection(("127.0.0.1", proxy.port), 5) as s:
                s.recv(1)

    def test_many_connections_with_everything_at_once(self):
        self.proxy.set(latency=0.01, slice=2000, rate=1_000_000)
        faults = []

        def one():
            try:
                with socket.create_connection(("127.0.0.1", self.proxy.port), 20) as s:
                    self.round(s, os.urandom(20_000))
            except Exception as problem:
                faults.append(repr(problem))
        threads = [threading.Thread(target=one) for _ in range(40)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(faults, [])
        self.wait_for(lambda: not self.proxy.open)

    def test_a_fault_of_no_name_is_an_error(self):
        with self.assertRaises(ValueError):
            self.proxy.set(latencies=1)

    def test_as_a_program(self):
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fault_proxy.py")
        with subprocess.Popen([sys.executable, program, "--to", f"127.0.0.1:{self.echo.port}", "latency=0.1"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            port = int(child.stdout.readline())
            with socket.create_connection(("127.0.0.1", port), 5) as s:
                self.assertGreaterEqual(self.round(s), 0.2)
                child.stdin.write("clear\ndown reset_after=2\n")
                child.stdin.flush()
                time.sleep(0.2)
                s.sendall(b"hello")
                self.assertEqual(s.recv(10), b"he")
            child.stdin.close()
            self.assertEqual(child.wait(5), 0)


if __name__ == "__main__":
    ran = unittest.main(exit=False).result
    failed = len(ran.failures) + len(ran.errors)
    print(f"{ran.testsRun - failed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed or not ran.testsRun else 0)
