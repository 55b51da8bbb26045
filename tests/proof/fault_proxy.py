#!/usr/bin/env python3
"""A TCP proxy that breaks what passes through it: between a client and the gateway, the gateway and Snowflake, the
gateway and its store. As a module:

    with FaultProxy(gateway.port) as proxy:
        Client(proxy)...                           # it has a `port`
        proxy.set(latency=0.2, slice=7)            # both ways
        proxy.set("down", blackhole=True)          # what the server answers
        proxy.clear(); proxy.cut(); proxy.refuse()

As a program: fault_proxy.py --to HOST:PORT [--port N] [latency=0.2 slice=7 ...]; standard input takes lines such as
`down blackhole=1`, `clear`, `cut`, `refuse`, `accept`.

Faults of one way ("up": towards the server, "down": back), in force at once for connections that are there already:
  latency      seconds that each piece is under way; the order and the rate stay
  slice        bytes at a time, each in a segment of its own, `pause` seconds apart (0.001)
  rate         bytes a second of each connection
  blackhole    nothing passes; what came meanwhile passes when it is lifted, as after a network's outage
  reset_after  TCP reset of both sides when so many bytes of a connection have passed since it was set
refuse() makes new connections fail with ECONNREFUSED; cut() resets those that are there."""

import argparse
import asyncio
import socket
import struct
import sys
import threading
import time

UP, DOWN = "up", "down"
CHUNK = 65536
QUEUED = 64  # chunks that are under way; more wait in the sender's socket


class Reset(Exception):
    """The connection is to be reset."""


class Faults:
    """Of one way. `generation` changes with each setting: from there bytes are counted anew."""

    usual = {"latency": 0.0, "slice": 0, "pause": 0.001, "rate": 0, "blackhole": False, "reset_after": None}

    def __init__(self):
        self.generation = 0
        self.__dict__.update(self.usual)

    def set(self, faults):
        unknown = set(faults) - set(self.usual)
        if unknown:
            raise ValueError(f"no fault of this name: {', '.join(sorted(unknown))}")
        self.__dict__.update(faults)
        self.generation += 1


class Pump:
    """One way of one connection."""

    def __init__(self, proxy, way, source, sink):
        self.proxy, self.way, self.source, self.sink = proxy, way, source, sink
        self.faults, self.generation, self.passed = proxy.faults[way], -1, 0
        self.queue = asyncio.Queue(QUEUED)

    async def read(self):
        loop, data = asyncio.get_running_loop(), True
        while data:
            data = await loop.sock_recv(self.source, CHUNK)
            await self.queue.put((time.monotonic() + self.faults.latency, data))

    async def write(self):
        while True:
            due, data = await self.queue.get()
            await asyncio.sleep(max(due - time.monotonic(), 0))
            if not data:
                await self.proxy.passable(self.way)
                self.sink.shutdown(socket.SHUT_WR)
                return
            while data:
                n = min(self.faults.slice or CHUNK, max(self.faults.rate // 50, 1) if self.faults.rate else CHUNK)
                await self.pass_on(data[:n])
                data = data[n:]

    async def pass_on(self, piece):
        await self.proxy.passable(self.way)
        faults = self.faults
        if self.generation != faults.generation:
            self.generation, self.passed = faults.generation, 0
        last = faults.reset_after is not None and self.passed + len(piece) >= faults.reset_after
        if last:
            piece = piece[:max(faults.reset_after - self.passed, 0)]
        await asyncio.get_running_loop().sock_sendall(self.sink, piece)
        self.passed += len(piece)
        self.proxy.bytes[self.way] += len(piece)
        if last:
            if piece:  # the peer may take it before the reset discards it
                await asyncio.sleep(0.01)
            raise Reset
        wait = (faults.pause if faults.slice else 0) + (len(piece) / faults.rate if faults.rate else 0)
        if wait:
            await asyncio.sleep(wait)


class FaultProxy:
    """`target`: a port of this host, or (host, port). Runs from its making to close() on a thread of its own."""

    def __init__(self, target, port=0):
        self.target = target if isinstance(target, tuple) else ("127.0.0.1", target)
        self.faults = {UP: Faults(), DOWN: Faults()}
        self.connections = self.resets = 0
        self.bytes = {UP: 0, DOWN: 0}
        self.open = set()  # tasks, one for each connection
        self.port, self.listener = port, None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self._do(self._start())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _do(self, what):
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(10)

    async def _start(self):
        self.changed = asyncio.Event()
        self._listen()

    # ---- switches: from any thread, in force when they return ----

    def set(self, way=None, **faults):
        async def change():
            for name in (way,) if way else (UP, DOWN):
                self.faults[name].set(faults)
            self.changed.set()
            self.changed = asyncio.Event()
        self._do(change())

    def clear(self, way=None):
        self.set(way, **Faults.usual)

    def cut(self):
        """Resets what is connected; how many."""
        async def cut():
            there = list(self.open)
            for task in there:
                task.cancel()
            if there:
                await asyncio.wait(there)
            return len(there)
        return self._do(cut())

    def refuse(self):
        async def refuse():
            if self.accepting:
                self.accepting.cancel()
                await asyncio.wait([self.accepting])
                self.listener.close()
                self._bind()  # bound and not listening: the port stays ours
                self.accepting = None
        self._do(refuse())

    def accept(self):
        async def accept():
            if not self.accepting:
                self.listener.close()
                self._listen()
        self._do(accept())

    def close(self):
        async def close():
            if self.accepting:
                self.accepting.cancel()
                await asyncio.wait([self.accepting])
            self.listener.close()
        if not self.loop.is_closed():
            self._do(close())
            self.cut()
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(10)
            self.loop.close()

    # ---- on the thread ----

    def _bind(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]

    def _listen(self):
        self._bind()
        self.listener.listen(256)
        self.accepting = self.loop.create_task(self._accept())

    async def _accept(self):
        while True:
            client, _ = await self.loop.sock_accept(self.listener)
            client.setblocking(False)
            self.connections += 1
            task = self.loop.create_task(self._serve(client))
            self.open.add(task)
            task.add_done_callback(self.open.discard)

    async def passable(self, way):
        while self.faults[way].blackhole:
            await self.changed.wait()

    async def _serve(self, client):
        server, tasks, clean = socket.socket(), [], False
        server.setblocking(False)
        for s in (client, server):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self.passable(UP)
            await self.loop.sock_connect(server, self.target)
            for way, source, sink in ((UP, client, server), (DOWN, server, client)):
                pump = Pump(self, way, source, sink)
                tasks += [self.loop.create_task(pump.read()), self.loop.create_task(pump.write())]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            clean = all(task.exception() is None for task in done)
        except (asyncio.CancelledError, OSError):
            pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.resets += not clean
            for s in (client, server):
                if not clean:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.close()


def read_faults(words):
    """["latency=0.2", "slice=7"] as {"latency": 0.2, "slice": 7}."""
    faults = {}
    for word in words:
        name, _, value = word.partition("=")
        kind = {"latency": float, "pause": float, "blackhole": lambda v: v not in ("0", "")}.get(name, int)
        faults[name] = kind(value)
    return faults


def obey(proxy, line):
    words = line.split()
    if words and words[0] in ("cut", "refuse", "accept") and len(words) == 1:
        getattr(proxy, words[0])()
    elif words:
        way = words.pop(0) if words[0] in (UP, DOWN) else None
        if words == ["clear"]:
            proxy.clear(way)
        else:
            proxy.set(way, **read_faults(words))


def main():
    parser = argparse.ArgumentParser(description="A TCP proxy with faults; see the head of this file.")
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("fault", nargs="*")
    options = parser.parse_args()
    host, _, port = options.to.rpartition(":")
    with FaultProxy((host or "127.0.0.1", int(port)), options.port) as proxy:
        proxy.set(**read_faults(options.fault))
        print(proxy.port, flush=True)
        for line in sys.stdin:
            try:
                obey(proxy, line)
            except ValueError as problem:
                print(problem, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
