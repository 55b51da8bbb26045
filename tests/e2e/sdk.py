"""The official Python SDK: the virtual environments with its two generations, outside the tree, and one small face for
the clients of both. Only a Python of such an environment can use the face."""

import asyncio
import contextlib
import fcntl
import os
import re
import shutil
import ssl
import subprocess
import sys

import gateway

HERE = os.path.dirname(os.path.abspath(__file__))
GENERATIONS = ("1", "2")
UNREACHABLE = re.compile("connection broken by|Max retries|Name or service not known|name resolution|is unreachable")


class Unreachable(Exception):
    """The package index does not answer."""


def environment(generation):
    """The Python of the environment with what requirements-sdk-<generation>.txt pins, made where it is not there yet."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.path.join(cache, "snowgate-tests", f"python-sdk-{generation}")
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with open(folder + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pinned, mark = os.path.join(HERE, f"requirements-sdk-{generation}.txt"), os.path.join(folder, "installed")
        with open(pinned, encoding="utf-8") as f:
            wanted = sys.version + "\n" + f.read()
        if not os.path.exists(mark) or open(mark, encoding="utf-8").read() != wanted:
            install(folder, pinned)
            with open(mark, "w", encoding="utf-8") as f:
                f.write(wanted)
    return os.path.join(folder, "bin", "python")


def install(folder, pinned):
    print(f"installing the packages of {os.path.basename(pinned)} in {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    made = subprocess.run([sys.executable, "-m", "venv", folder], capture_output=True, text=True)
    if made.returncode:
        raise RuntimeError(f"python3 -m venv failed: apt-get install python3-venv\n{made.stdout}{made.stderr}")
    ran = subprocess.run([os.path.join(folder, "bin", "python"), "-m", "pip", "install", "--disable-pip-version-check",
                          "--retries", "2", "--no-deps", "-r", pinned], capture_output=True, text=True)
    if ran.returncode and UNREACHABLE.search(ran.stdout + ran.stderr):
        raise Unreachable((ran.stdout + ran.stderr).strip().splitlines()[-1])
    if ran.returncode:
        raise RuntimeError(ran.stdout + ran.stderr)


class Outcome:
    """A tool's answer, of either generation."""

    def __init__(self, result):
        self.is_error = result.isError if hasattr(result, "isError") else result.is_error
        self.structured = result.structuredContent if hasattr(result, "structuredContent") else result.structured_content
        self.text = "\n".join(getattr(c, "text", "") for c in result.content)

    @property
    def rows(self):
        if self.is_error:
            raise AssertionError(self.text)
        return self.structured["rows"]


class Face:
    """A connected client. `asked` answers the server's questions: given {message, schema}, it returns (action, content)."""

    revisions = {}

    async def call(self, name, arguments, progress=None):
        raise NotImplementedError

    async def query(self, sql, progress=None, **arguments):
        return await self.call("execute_query", {"query": sql, "format": "json", **arguments}, progress)

    async def abandoned(self, sql, begun):
        """Calls, and gives the call up once `begun` says so."""
        task = asyncio.ensure_future(self.query(sql))
        await asyncio.to_thread(begun)
        await self.give_up(task)

    async def give_up(self, task):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class First(Face):
    """mcp 1.x: sessions only."""

    def __init__(self, session):
        self.session = session

    @classmethod
    @contextlib.asynccontextmanager
    async def over(cls, streams, asked):
        from mcp import ClientSession, types

        async def answer(_, params):
            action, content = asked(params.message, params.requestedSchema)
            return types.ElicitResult(action=action, content=content)

        async with ClientSession(streams[0], streams[1], elicitation_callback=answer if asked else None) as session:
            await session.initialize()
            yield cls(session)

    @classmethod
    @contextlib.asynccontextmanager
    async def http(cls, _, front, asked=None):
        import httpx
        from mcp.client.streamable_http import streamable_http_client
        client = httpx.AsyncClient(headers={"Authorization": "Bearer " + front.key}, timeout=httpx.Timeout(30, read=300),
                                   verify=ssl.create_default_context(cafile=front.certificate))
        async with client, streamable_http_client(front.url, http_client=client) as streams:
            async with cls.over(streams, asked) as face:
                yield face

    @classmethod
    @contextlib.asynccontextmanager
    async def stdio(cls, _, command, arguments, env, asked=None):
        from mcp import StdioServerParameters
        from mcp.client.stdio import stdio_client
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            server = StdioServerParameters(command=command, args=arguments, env=gateway.tapped(command, {}))
            async with stdio_client(server, errlog=nowhere) as streams, cls.over(streams, asked) as face:
                yield face

    async def tools(self):
        return [tool.name for tool in (await self.session.list_tools()).tools]

    async def prompts(self):
        return [prompt.name for prompt in (await self.session.list_prompts()).prompts]

    async def resources(self):
        return [str(resource.uri) for resource in (await self.session.list_resources()).resources]

    async def templates(self):
        return [t.uriTemplate for t in (await self.session.list_resource_templates()).resourceTemplates]

    async def read(self, uri):
        return (await self.session.read_resource(uri)).contents[0].text

    async def call(self, name, arguments, progress=None):
        return Outcome(await self.session.call_tool(name, arguments, progress_callback=progress))

    async def give_up(self, task):
        """This generation only stops to wait; the notification is the program's own to send."""
        from mcp import types
        params = types.CancelledNotificationParams(requestId=self.session._request_id - 1, reason="enough")
        await self.session.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
        await super().give_up(task)


class Second(Face):
    """mcp 2.x: `mode` is "auto" for 2026-07-28, or "legacy"."""

    def __init__(self, client):
        self.client = client

    @classmethod
    @contextlib.asynccontextmanager
    async def over(cls, mode, transport, asked):
        import mcp_types as types
        from mcp.client.client import Client

        async def answer(_, params):
            action, content = asked(params.message, params.requested_schema)
            return types.ElicitResult(action=action, content=content)

        async with Client(transport, mode=mode, elicitation_callback=answer if asked else None) as client:
            yield cls(client)

    @classmethod
    @contextlib.asynccontextmanager
    async def http(cls, mode, front, asked=None):
        import httpx2
        from mcp.client.streamable_http import streamable_http_client
        client = httpx2.AsyncClient(headers={"Authorization": "Bearer " + front.key}, timeout=httpx2.Timeout(30, read=300),
                                    verify=ssl.create_default_context(cafile=front.certificate))
        async with client, cls.over(mode, streamable_http_client(front.url, http_client=client), asked) as face:
            yield face

    @classmethod
    @contextlib.asynccontextmanager
    async def stdio(cls, mode, command, arguments, env, asked=None):
        from mcp.client.stdio import StdioServerParameters, stdio_client
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            server = StdioServerParameters(command=command, args=arguments, env=gateway.tapped(command, {}))
            async with cls.over(mode, stdio_client(server, errlog=nowhere), asked) as face:
                yield face

    async def tools(self):
        return [tool.name for tool in (await self.client.list_tools()).tools]

    async def prompts(self):
        return [prompt.name for prompt in (await self.client.list_prompts()).prompts]

    async def resources(self):
        return [str(resource.uri) for resource in (await self.client.list_resources()).resources]

    async def templates(self):
        return [t.uri_template for t in (await self.client.list_resource_templates()).resource_templates]

    async def read(self, uri):
        return (await self.client.read_resource(uri)).contents[0].text

    async def call(self, name, arguments, progress=None):
        return Outcome(await self.client.call_tool(name, arguments, progress_callback=progress))
