"""An outage of Snowflake under a crowd of clients, and a chart of the requests that the emulator gets.

Each client asks again when it is answered: after a short pause, or, every other one, when it was told to. The emulator
must run with --control. Used by tests/bench/run, and by tests/e2e/test_outage.py, which judges what is drawn here."""

import http.client
import json
import math
import random
import threading
import time

CLIENTS = 200
BEFORE = 10          # seconds of good weather before the outage
BAR = 50             # width of the chart


def control(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, "/control/" + path, json.dumps(body) if body is not None else None)
        response = connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            raise RuntimeError("control %s: %d %s" % (path, response.status, answer))
        return answer
    finally:
        connection.close()


class Answer:
    def __init__(self, asked, took, status, body):
        self.asked, self.took, self.status, self.body = asked, took, status, body
        result = body.get("result", {})
        self.good = status == 200 and "result" in body and not result.get("isError")
        self.error = result.get("_meta", {}).get("snowgate/error", {})
        self.text = "".join(part.get("text", "") for part in result.get("content", []))

    def told_to_wait(self):
        return self.error.get("retryAfterMs", 0) / 1000


class Crowd:
    """`keys`: one for each of so many principals; None: no authentication."""

    def __init__(self, port, keys, clients=CLIENTS, pause=(0.3, 1.2), query="SELECT 1"):
        self.port, self.pause, self.query = port, pause, query
        self.answers, self.lock, self.stopping = [], threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.client, args=(i, keys[i % len(keys)]), daemon=True)
                        for i in range(clients)]

    def ask(self, connection, key):
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                   "params": {"name": "execute_query", "arguments": {"query": self.query}}}
        headers = {"Content-Type": "application/json", "Accept": "application/json",
                   "MCP-Protocol-Version": "2025-11-25"}
        if key:
            headers["Authorization"] = "Bearer " + key
        asked = time.time()
        connection.request("POST", "/mcp", json.dumps(message), headers)
        response = connection.getresponse()
        body = json.loads(response.read())
        return Answer(asked, time.time() - asked, response.status, body)

    def client(self, number, key):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        chance = random.Random(number)
        self.stopping.wait(chance.uniform(0, 1))
        while not self.stopping.is_set():
            answer = self.ask(connection, key)
            with self.lock:
                self.answers.append(answer)
            told = answer.told_to_wait() if number % 2 else 0
            self.stopping.wait(told or chance.uniform(*self.pause))
        connection.close()

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        """All answers, by the time when they were asked for; nobody may be without one."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(150)
        if any(thread.is_alive() for thread in self.threads):
            raise RuntimeError("a client has no answer")
        return sorted(self.answers, key=lambda answer: answer.asked)


class Outage:
    """What came of one: times are seconds since its begin."""

    def __init__(self, begin, seconds, answers, arrivals):
        self.begin, self.seconds, self.answers = begin, seconds, answers
        self.requests, self.submits = ({}, {})
        for i, (requests, submits) in enumerate(zip(arrivals["requests"], arrivals["submits"])):
            second = math.floor((arrivals["from_ms"] + i * arrivals["bucket_ms"]) / 1000 - begin)
            self.requests[second] = self.requests.get(second, 0) + requests
            self.submits[second] = self.submits.get(second, 0) + submits

    def most(self, counts, begin, end):
        return max([n for second, n in counts.items() if begin <= second < end], default=0)

    def asked(self, begin, end):
        return [a for a in self.answers if begin <= a.asked - self.begin < end]

    def recovered(self):
        """Seconds from the end of the outage to the first good answer."""
        ends = [a.asked + a.took - self.begin - self.seconds for a in self.answers if a.good]
        return min([t for t in ends if t >= 0], default=float("inf"))


def run(gateway_port, keys, emulator_port, status, seconds, after, before=BEFORE, **how):
    """`status`: "refuse", or an HTTP status."""
    control(emulator_port, "POST", "reset")
    crowd = Crowd(gateway_port, keys, **how)
    crowd.start()
    time.sleep(before)
    begin = time.time()
    control(emulator_port, "POST", "outage", {"status": status, "seconds": seconds})
    time.sleep(seconds + after)
    answers = crowd.stop()
    return Outage(begin, seconds, answers, control(emulator_port, "GET", "arrivals"))


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0


def chart(outage, step):
    most = max(outage.requests.values(), default=1) or 1
    print("%8s %-*s %9s %9s" % ("second", BAR + 7, "requests/s at the emulator", "good/s", "failed/s"))
    for second in range(-BEFORE, max(outage.requests, default=0), step):
        rate = sum(outage.requests.get(second + i, 0) for i in range(step)) / step
        answers = outage.asked(second, second + step)
        good = sum(a.good for a in answers)
        print("%7d%s %-*s %9.0f %9.0f" % (
            second, "!" if 0 <= second < outage.seconds else " ", BAR + 7,
            "#" * round(rate * BAR / most) + " %.0f" % rate, good / step, (len(answers) - good) / step))


def tell(outage, name, step):
    failed = [a.took * 1000 for a in outage.asked(3, outage.seconds) if not a.good]
    print("\nOutage of %d s (%s), %d clients" % (outage.seconds, name, CLIENTS))
    chart(outage, step)
    print("from its third second on: %d submissions; %d failures, p50 %.1f ms, p99 %.1f ms" % (
        sum(n for second, n in outage.submits.items() if 3 <= second < outage.seconds), len(failed),
        percentile(failed, 0.5), percentile(failed, 0.99)))
    print("most requests/s: before %d, after %d; first good answer %.1f s after its end" % (
        outage.most(outage.requests, -BEFORE + 1, 0), outage.most(outage.requests, outage.seconds, 1 << 30),
        outage.recovered()), flush=True)


def measure(bench, quick):
    """The bench's part of it: `bench` starts the programs."""
    seconds, after, step = (8, 15, 1) if quick else (60, 45, 2)
    port = bench.start_emulator("outage-emulator.log", "--control")
    gateway = bench.start_gateway("outage", upstream=port, in_flight=32)
    for status, name in (("refuse", "connections reset"), (503, "HTTP 503")):
        outage = run(gateway.port, gateway.keys, port, status, seconds, after)
        tell(outage, name, step)
        bench.failed |= not all(a.good for a in outage.asked(-BEFORE + 1, -2)) or outage.recovered() > after
