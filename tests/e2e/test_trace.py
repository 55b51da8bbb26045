#!/usr/bin/env python3
"""W3C trace context: the trace id of a request, from its headers or its _meta, is in the log line of its call."""

from gateway import Case, main, wait_for

HEADER = "4bf92f3577b34da6a3ce929d0e0e4736"
META = "0af7651916cd43dd8448eb211c80319c"


def parent(trace):
    return f"00-{trace}-00f067aa0ba902b7-01"


class Trace(Case):
    def each(self):
        return self.legacy(), self.modern()

    def logged(self, answer):
        """The call's log line, by the id that its answer bears."""
        name = answer.headers["X-Request-Id"]
        return wait_for(lambda: [e for e in self.gateway.process.events("call") if e["request"] == name], 5, "the log line")[0]

    def ask(self, client, header=None, meta=None):
        message = client.tool_message("execute_query", {"query": "SELECT 1"}, {"traceparent": meta} if meta else None)
        return self.logged(client.send(body=message, more={"traceparent": header} if header else None)).get("trace")

    def test_header(self):
        for client in self.each():
            self.assertEqual(self.ask(client, header=parent(HEADER)), HEADER)

    def test_meta_goes_before_the_header(self):
        for client in self.each():
            self.assertEqual(self.ask(client, meta=parent(META)), META)
            self.assertEqual(self.ask(client, header=parent(HEADER), meta=parent(META)), META)

    def test_none_and_malformed(self):
        for client in self.each():
            self.assertIsNone(self.ask(client))
            for bad in ("x", "00-" + HEADER, parent(HEADER.upper()), parent("0" * 32), parent("z" * 32)):
                self.assertIsNone(self.ask(client, header=bad), bad)
                self.assertIsNone(self.ask(client, meta=bad), bad)


if __name__ == "__main__":
    main()
