// What the tests of the official clients share: the two programs on free ports, the recorder of what goes over the
// wire, and the clients themselves behind one small face.
import { spawn, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as v1 from '@modelcontextprotocol/sdk/client/index.js';
import * as v1Http from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as v2 from '@modelcontextprotocol/client';
import { EmptyResultSchema } from '@modelcontextprotocol/sdk/types.js';
import { violationsOf } from './schema.mjs';

export const MODERN = '2026-07-28';
export const LATEST_LEGACY = '2025-11-25';
export const BUILD = resolve(process.env.SNOWGATE_BUILD ?? join(import.meta.dirname, '../../build/dev'));
export const TOKEN = 'pat-of-demo-0123456789';
const START_MS = 30_000;

export { sleep };

/** Polls until `look` gives something true; the number of milliseconds is a ceiling, not a wait. */
export async function waitFor(what, look, ms = 10_000) {
	const end = Date.now() + ms;
	for (;;) {
		const found = await look();
		if (found)
			return found;
		if (Date.now() > end)
			throw new Error(`waited ${ms} ms in vain for ${what}`);
		await sleep(10);
	}
}

process.setMaxListeners(100);
for (const signal of ['SIGINT', 'SIGTERM'])
	process.once(signal, () => process.exit(1)); // takes the children along

/** What the environment of a gateway needs so that what it sends is recorded, where $SNOWGATE_TAP names a folder (tests/tap). */
const TAP = join(BUILD, 'snowgate-tap.so');
export const tapEnv = process.env.SNOWGATE_TAP && existsSync(TAP)
	? { SNOWGATE_TAP: process.env.SNOWGATE_TAP, LD_PRELOAD: TAP } : {};

/** A child whose lines on one stream are kept; `ready` is its "listening" event. */
class Program {
	constructor(name, args, stream) {
		this.lines = [];
		this.child = spawn(join(BUILD, name), args, {
			stdio: ['ignore', ...['stdout', 'stderr'].map((s) => (s === stream ? 'pipe' : 'ignore'))],
			env: { ...process.env, ...(name === 'snowgate' ? tapEnv : {}) },
		});
		process.once('exit', () => this.child.kill('SIGKILL'));
		this.gone = new Promise((resolve) => this.child.once('exit', (code, signal) => resolve(code ?? signal)));
		this.ready = new Promise((resolve, reject) => {
			const fail = (why) => reject(new Error(`${name}: ${why}\n${this.lines.join('\n')}`));
			const timer = setTimeout(() => fail('no listening line'), START_MS);
			createInterface({ input: this.child[stream] }).on('line', (line) => {
				this.lines.push(line);
				const event = line.startsWith('{') ? JSON.parse(line) : {};
				if (event.event !== 'listening')
					return;
				clearTimeout(timer);
				resolve(event);
			});
			this.child.once('error', (e) => fail(e.message));
			this.gone.then((status) => {
				clearTimeout(timer);
				fail(`ended with ${status}`);
			});
		});
	}

	/** Its exit status, or the name of the signal that ended it. */
	async stop(signal = 'SIGTERM') {
		if (this.child.exitCode === null && this.child.signalCode === null)
			this.child.kill(signal);
		const timer = setTimeout(() => this.child.kill('SIGKILL'), 15_000);
		const status = await this.gone;
		clearTimeout(timer);
		return status;
	}
}

export class Emulator {
	static async start(args = []) {
		const self = new Emulator();
		self.args = args;
		await self.run(0);
		return self;
	}

	async run(port) {
		this.program = new Program('snowgate-emulator', ['--port', String(port), '--control', '--scale', '0.001',
			'--pat', `${TOKEN}=DEMO`, ...this.args], 'stdout');
		this.port = (await this.program.ready).port;
	}

	async control(method, path, body) {
		const answer = await fetch(`http://127.0.0.1:${this.port}/control/${path}`,
			{ method, body: body && JSON.stringify(body) });
		if (!answer.ok)
			throw new Error(`control ${path}: ${answer.status} ${await answer.text()}`);
		return answer.json();
	}

	/** The next `times` requests that match do so; -1: all. */
	fault(action, match = {}, times = -1) {
		return this.control('POST', 'faults', { match: { times, ...match }, action });
	}

	/** Statements that contain `sql` run for so long. */
	hold(sql, ms) {
		return this.fault({ hold_ms: ms }, { op: 'submit', sql_contains: sql });
	}

	reset() {
		return this.control('POST', 'reset');
	}

	/** The records of statements that contain `sql`, newest first. */
	async records(sql) {
		return (await this.control('GET', 'statements?n=10000')).filter((r) => r.sql.includes(sql));
	}

	stop(signal) {
		return this.program.stop(signal);
	}
}

export function merge(base, more) {
	for (const [key, value] of Object.entries(more ?? {}))
		base[key] = value && typeof value === 'object' && !Array.isArray(value) ? merge(base[key] ?? {}, value) : value;
	return base;
}

/** The gateway and its folder. `conf` is laid over what the tests usually run with; `keys` are principals. */
export class Gateway {
	static async start(options) {
		const self = Gateway.written(options);
		await self.run();
		return self;
	}

	/** Its folder and its files, without the process. */
	static written({ upstream, conf, keys = [] }) {
		const self = new Gateway();
		self.folder = mkdtempSync(join(tmpdir(), 'snowgate-e2e-'));
		self.keys = {};
		self.conf = merge({
			listen: { port: 0 }, admin: { port: 0 },
			auth: { mode: keys.length ? 'required' : 'none' },
			session: { key_file: join(self.folder, 'session-keys') },
			store: { kind: 'memory', path: join(self.folder, 'snowgate.db') },
			snowflake: { connection: 'demo', connections: { demo: {
				account: 'EMULATOR', user: 'DEMO', host: '127.0.0.1', port: upstream, protocol: 'http',
				authenticator: 'programmatic_access_token', token: TOKEN, warehouse: 'COMPUTE_WH',
				role: 'SYSADMIN', database: 'SNOWFLAKE_SAMPLE_DATA', schema: 'TPCH_SF1' } } },
			limits: { default: { calls_per_minute: 1000000, burst: 100000, running: 16, queued: 100 } },
		}, conf);
		self.secret('session-keys', randomBytes(32).toString('hex') + '\n');
		self.secret('snowgate.yaml', JSON.stringify(self.conf, null, 1)); // JSON is YAML too
		for (const name of keys)
			self.keys[name] = execFileSync(join(BUILD, 'snowgate'), ['key', 'new', name, '-c', self.file],
				{ encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
		return self;
	}

	get file() {
		return join(this.folder, 'snowgate.yaml');
	}

	get url() {
		return `http://127.0.0.1:${this.port}/mcp`;
	}

	secret(name, text) {
		writeFileSync(join(this.folder, name), text, { mode: 0o600 });
		chmodSync(join(this.folder, name), 0o600);
	}

	async run() {
		this.program = new Program('snowgate', ['-c', this.file], 'stderr');
		const event = await this.program.ready;
		this.port = event.port;
		this.adminPort = event.admin_port;
	}

	/** Ends it, and starts it again on the port it had, with the same session keys. */
	async restart(signal) {
		const status = await this.program.stop(signal);
		this.conf.listen.port = this.port;
		this.secret('snowgate.yaml', JSON.stringify(this.conf));
		await this.run();
		return status;
	}

	async stop(signal) {
		const status = await this.program?.stop(signal);
		rmSync(this.folder, { recursive: true, force: true });
		return status;
	}
}

/** An emulator and a gateway before it, both ended after the tests of the file. */
export async function rig(options = {}) {
	const emulator = await Emulator.start(options.emulator);
	const gateway = await Gateway.start({ upstream: emulator.port, ...options });
	after(async () => {
		await gateway.stop();
		await emulator.stop();
	});
	return { emulator, gateway };
}

/** The JSON-RPC messages of a body: JSON or server-sent events. */
function messagesOf(type, text) {
	if (!text)
		return [];
	if (!type.startsWith('text/event-stream'))
		return type.startsWith('application/json') ? [JSON.parse(text)].flat() : [];
	return text.split('\n\n')
		.map((event) => event.split('\n').filter((l) => l.startsWith('data:')).map((l) => l.slice(5).trim()).join('\n'))
		.filter(Boolean).map((data) => JSON.parse(data));
}

const messagesIn = (e) => [e.request ?? []].flat();

/** What a client sends on purpose as no JSON is not its message. */
function parsed(body) {
	try {
		return JSON.parse(body);
	} catch {
		return undefined;
	}
}

/** A fetch that keeps every exchange: {method, url, requestHeaders, request, status, headers, text, messages}. */
export class Recorder {
	exchanges = [];

	fetch = async (url, init = {}) => {
		const exchange = {
			method: init.method ?? 'GET', url: String(url), requestHeaders: new Headers(init.headers),
			request: parsed(init.body), messages: [],
		};
		this.exchanges.push(exchange);
		const response = await fetch(url, init);
		exchange.status = response.status;
		exchange.headers = response.headers;
		exchange.read = this.#read(exchange, response.clone());
		return response;
	};

	/** Keeps what comes; of a stream that the client leaves, the events that it had until then. */
	async #read(exchange, response) {
		const type = response.headers.get('content-type') ?? '';
		exchange.isStream = type.startsWith('text/event-stream');
		let text = '';
		try {
			for await (const part of response.body?.pipeThrough(new TextDecoderStream()) ?? [])
				text += part;
		} catch { // the client left, or the connection broke: what is half is nothing
			text = exchange.isStream ? text.slice(0, text.lastIndexOf('\n\n') + 2) : '';
		}
		exchange.text = text;
		exchange.messages = messagesOf(type, text);
	}

	/** The exchanges, what has ended read to its end; streams may still be open. */
	async settled() {
		await Promise.all(this.exchanges.map((e) => (e.isStream ? Promise.race([e.read, sleep(50)]) : e.read)));
		return this.exchanges;
	}

	last() {
		return this.exchanges.filter((e) => e.method === 'POST').at(-1);
	}

	/** What the published schema of the revision has against any message of either side, as lines. */
	async violations(revision) {
		const lines = [];
		for (const e of await this.settled()) {
			const methods = new Map(messagesIn(e).map((m) => [m.id, m.method]));
			for (const m of messagesIn(e))
				lines.push(...violationsOf(revision, m).map((v) => `client ${m.method}: ${v}`));
			for (const m of e.messages)
				lines.push(...violationsOf(revision, m, methods.get(m.id)).map((v) => `${e.status} ${e.text}: ${v}`));
		}
		return lines;
	}
}

const INFO = { name: 'snowgate-e2e', version: '1.0.0' };
const withKey = (key) => ({ requestInit: key ? { headers: { Authorization: `Bearer ${key}` } } : {} });

/** The kinds of client; each connects to a URL and gives {client, transport, recorder, errors}. */
export const KINDS = [
	{
		name: 'sdk 1.x, sessions', revision: LATEST_LEGACY, sessions: true,
		make: (options) => new v1.Client(INFO, options),
		transport: (url, options) => new v1Http.StreamableHTTPClientTransport(url, options),
	},
	{
		name: 'client 2.x, 2026-07-28', revision: MODERN, sessions: false,
		make: (options) => new v2.Client(INFO, { ...options, versionNegotiation: { mode: 'auto' } }),
		transport: (url, options) => new v2.StreamableHTTPClientTransport(url, options),
	},
	{
		name: 'client 2.x, sessions', revision: LATEST_LEGACY, sessions: true,
		make: (options) => new v2.Client(INFO, options),
		transport: (url, options) => new v2.StreamableHTTPClientTransport(url, options),
	},
];

/** What the tests ask of a client of any kind, over any transport. */
export function faceOf(kind, client) {
	const call = (name, args, how) => (kind.name.startsWith('sdk 1')
		? client.callTool({ name, arguments: args }, undefined, how)
		: client.callTool({ name, arguments: args }, how));
	const query = (sql, args, how) => call('execute_query', { query: sql, ...args }, how);
	const request = (method, params) => client.request({ method, params }, EmptyResultSchema);
	return { kind, client, call, query, request, close: () => client.close() };
}

/** A client of one kind, not yet connected. */
export function prepare(kind, gateway, { key, options } = {}) {
	const recorder = new Recorder();
	const client = kind.make(options);
	const transport = kind.transport(new URL(gateway.url), { fetch: recorder.fetch, ...withKey(key) });
	const errors = [];
	client.onerror = (e) => errors.push(e);
	return { ...faceOf(kind, client), transport, recorder, errors, connect: () => client.connect(transport) };
}

export async function connect(kind, gateway, how) {
	const session = prepare(kind, gateway, how);
	await session.connect();
	return session;
}

/** All the text that a tool result shows its reader. */
export const textOf = (result) => result.content.map((c) => c.text ?? '').join('\n');

/** The text that a caller sees of a call that must not succeed: of the tool error, or of what was thrown. */
export async function failureOf(promise) {
	let result;
	try {
		result = await promise;
	} catch (e) {
		const parts = [e.message, e.cause?.message, e.data && JSON.stringify(e.data)];
		return { thrown: e, text: parts.filter(Boolean).join('\n') };
	}
	if (!result.isError)
		throw new Error('succeeded: ' + JSON.stringify(result));
	return { result, text: textOf(result) };
}
