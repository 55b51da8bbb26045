"""A body over listen.max_body is answered 413, and Python's http.client, which writes all of it first, sees that."""

import http.client
import json
import socket
import unittest

import gateway

TRIES = 50
SQL = "SELECT 1 --" + "x" * (5 << 20)
BODY = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                   "params": {"name": "execute_query", "arguments": {"query": SQL}}}).encode()
HEADERS = {"Content-Type": "application/json", "Accept": gateway.ACCEPT}


class TooLarge(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gateway = gateway.Gateway(None)

    @classmethod
    def tearDownClass(cls):
        cls.gateway.stop()

    def post(self, connection, body, headers=None, **how):
        connection.request("POST", "/mcp", body, {**HEADERS, **(headers or {})}, **how)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def seen(self, make_body, **how):
        for attempt in range(TRIES):
            connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=20)
            try:
                status, answer = self.post(connection, make_body(), **how)
            finally:
                connection.close()
            self.assertEqual(status, 413, f"try {attempt + 1}")
            self.assertIn("larger than this gateway takes (listen.max_body)", answer["error"]["message"])

    def test_with_its_length(self):
        self.seen(lambda: BODY)

    def test_in_chunks(self):
        pieces = [BODY[i:i + 65536] for i in range(0, len(BODY), 65536)]
        self.seen(lambda: iter(pieces), headers={"Transfer-Encoding": "chunked"}, encode_chunked=True)

    def test_the_body_need_not_be_sent(self):
        """The head alone says too much: a client that waits for 100 Continue is answered at once."""
        with socket.create_connection(("127.0.0.1", self.gateway.port), timeout=20) as s:
            head = f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{self.gateway.port}\r\nContent-Length: {len(BODY)}\r\n"
            head += "".join(f"{k}: {v}\r\n" for k, v in HEADERS.items()) + "Expect: 100-continue\r\n\r\n"
            s.sendall(head.encode())
            self.assertIn(b" 413 ", s.recv(4096).split(b"\r\n")[0])


if __name__ == "__main__":
    gateway.main()
