"""A redis-server with a replica to fail over to, both with the settings and users of deploy/valkey."""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from gateway import free_port, wait_for  # noqa: E402

DEPLOY = os.path.join(HERE, "..", "..", "deploy", "valkey")
HASH = "SHA-256-OF-ITS-PASSWORD-IN-HEX"
PASSWORD = "of these tests only"


def deployed(name):
    with open(os.path.join(DEPLOY, name), encoding="ascii") as f:
        return f.read()


class Node:
    """One server on a port and in a folder of its own; `of`: the node that it is a replica of."""

    def __init__(self, of=None, settings=""):
        self.folder, self.port = tempfile.mkdtemp(prefix="snowgate-redis-"), free_port()
        self.settings, self.process = settings, None
        self.put("users.acl", deployed("snowgate.acl").replace(HASH, hashlib.sha256(PASSWORD.encode()).hexdigest()) +
                 "user admin on nopass ~* &* +@all\n")
        self.start(of)

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def put(self, name, text):
        path = os.path.join(self.folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as f:
            f.write(text)

    def start(self, of=None, wait=True):
        self.put("conf", deployed("valkey.conf") + f"\nport {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
                 f"aclfile {self.folder}/users.acl\nlogfile {self.folder}/log\nmaxmemory 0\nmasteruser replica\n"
                 f"masterauth \"{PASSWORD}\"\nrepl-timeout 10\nrepl-ping-replica-period 1\n" +
                 (f"replicaof 127.0.0.1 {of.port}\n" if of else "") + self.settings)
        self.process = subprocess.Popen(["redis-server", os.path.join(self.folder, "conf")], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if wait:
            self.wait_up()

    def wait_up(self):
        wait_for(self.answers, 30, "redis-server")

    def say(self, *words):
        """The first line of the answer to one command, as the user `admin`; more of it where there is more."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as s:
            said = b""
            for command in (("AUTH", "admin", "x"), words):
                s.sendall(f"*{len(command)}\r\n".encode() +
                          b"".join(f"${len(w)}\r\n{w}\r\n".encode() for w in command))
                said = s.recv(65536)
        return said.decode(errors="replace")

    def answers(self):
        """It is up and has read its data."""
        try:
            return self.say("PING").startswith("+PONG")
        except OSError:
            return False

    def info(self, name):
        for line in self.say("INFO", "replication").splitlines():
            if line.startswith(name + ":"):
                return line.partition(":")[2]
        return ""

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Pair:
    """`master` and `replica`, which change places at a failover."""

    def __init__(self):
        self.nodes = [Node()]
        self.nodes.append(Node(self.nodes[0]))
        self.master, self.replica = self.nodes
        self.wait_joined()

    @property
    def urls(self):
        return [node.url for node in self.nodes]

    def joined(self):
        try:
            return self.replica.info("master_link_status") == "up" and "state=online" in self.master.info("slave0")
        except OSError:
            return False

    def wait_joined(self):
        wait_for(self.joined, 30, "the replica to have all of its master")

    def restart(self, pause=0.5):
        """kill -9 of the master, and on its files again."""
        self.master.kill()
        time.sleep(pause)
        self.master.start()
        self.wait_joined()

    def fail_over(self, pause=1.0, dead=True):
        """The master dies, or is believed to; its replica takes over, and it comes back as a replica."""
        old, new = self.master, self.replica
        if dead:
            old.kill()
            time.sleep(pause)
        new.say("REPLICAOF", "NO", "ONE")
        self.master, self.replica = new, old
        if not dead:
            time.sleep(pause)  # two that both call themselves master
            old.say("REPLICAOF", "127.0.0.1", str(new.port))
        else:
            time.sleep(pause)
            old.start(new)
        self.wait_joined()

    def stop(self):
        for node in self.nodes:
            node.stop()
