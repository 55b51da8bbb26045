// nginx with TLS before a gateway that demands keys, as the README wants it to run: its log of requests, and the means
// to break every connection at once.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect as dial } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import tls from 'node:tls';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { Emulator, faceOf, Gateway, merge, sleep, waitFor } from './lib.mjs';

export { sleep, waitFor };
export const LONG = process.env.SNOWGATE_LONG === '1';
const NGINX = ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/sbin/nginx'].find((path) => existsSync(path)) ?? 'nginx';

const TEMPLATE = readFileSync(join(import.meta.dirname, 'front.conf'), 'utf8');

function freePort() {
	return new Promise((resolve, reject) => {
		const server = createServer().once('error', reject).listen(0, '127.0.0.1', () => {
			const { port } = server.address();
			server.close(() => resolve(port));
		});
	});
}

const answers = (port) => new Promise((resolve) => {
	const socket = dial(port, '127.0.0.1');
	socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
	socket.once('connect', () => socket.destroy());
});

/** The children of a process: nginx's workers. */
function childrenOf(pid) {
	return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((child) => {
		try {
			return Number(readFileSync(`/proc/${child}/stat`, 'latin1').split(') ').at(-1).split(' ')[1]) === pid;
		} catch {
			return false; // gone meanwhile
		}
	});
}

export class Front {
	constructor(port) {
		this.port = port;
		this.folder = mkdtempSync(join(tmpdir(), 'snowgate-front-'));
		this.certificate = join(this.folder, 'cert.pem');
	}

	get url() {
		return `https://localhost:${this.port}/mcp`;
	}

	async start(upstream) {
		execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
			'-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
			'-keyout', join(this.folder, 'key.pem'), '-out', this.certificate], { stdio: 'ignore' });
		tls.setDefaultCACertificates([...tls.getCACertificates('default'), readFileSync(this.certificate, 'latin1')]);
		const conf = join(this.folder, 'nginx.conf');
		const values = { folder: this.folder, port: this.port, upstream };
		writeFileSync(conf, TEMPLATE.replace(/@(\w+)@/g, (_, name) => values[name]));
		this.child = spawn(NGINX, ['-p', this.folder, '-c', conf], { stdio: 'ignore' });
		process.once('exit', () => this.child.kill()); // takes its worker along
		await waitFor('nginx', () => answers(this.port));
	}

	/** The requests that have been answered to their end, oldest first. */
	requests() {
		return readFileSync(join(this.folder, 'access.log'), 'utf8').split('\n').filter(Boolean).map((l) => JSON.parse(l));
	}

	/** Breaks every connection, of clients and to the gateway, as a proxy does that dies; a new worker takes over. */
	async cut() {
		const old = childrenOf(this.child.pid);
		for (const pid of old)
			process.kill(pid, 'SIGKILL');
		await waitFor('another worker', () => childrenOf(this.child.pid).some((pid) => !old.includes(pid)));
	}

	async stop() {
		const gone = new Promise((resolve) => this.child.once('exit', resolve));
		this.child.kill('SIGTERM');
		const timer = setTimeout(() => this.child.kill('SIGKILL'), 5000);
		await gone;
		clearTimeout(timer);
		rmSync(this.folder, { recursive: true, force: true });
	}
}

const ASKING = { name: 'all', statements: ['read', 'metadata', 'dml', 'ddl'], confirm: 'ask' };

/** A gateway with the key `ann`, and its front, before an emulator that is given. */
export class Fronted {
	static async start(emulator, conf) {
		const self = new Fronted();
		self.emulator = emulator;
		self.front = new Front(await freePort());
		self.gateway = await Gateway.start({ upstream: emulator.port, keys: ['ann'], conf: merge({
			listen: { public_url: self.front.url, trusted_proxies: ['127.0.0.1'] },
			mcp: { stream_after: '200ms' },
			snowflake: { connections: { demo: { database: 'DEMO', schema: 'PUBLIC' } } },
			policies: [ASKING],
		}, conf) });
		await self.front.start(self.gateway.port);
		return self;
	}

	get url() {
		return this.front.url;
	}

	get key() {
		return this.gateway.keys.ann;
	}

	cut() {
		return this.front.cut();
	}

	/** {name or name{label="value"}: number} */
	async metrics() {
		const text = await (await fetch(`http://127.0.0.1:${this.gateway.adminPort}/metrics`)).text();
		return Object.fromEntries(text.split('\n').filter((l) => l && !l.startsWith('#'))
			.map((l) => [l.slice(0, l.lastIndexOf(' ')), Number(l.slice(l.lastIndexOf(' ') + 1))]));
	}

	/** The sum of a metric over its label. */
	async metric(name) {
		return Object.entries(await this.metrics()).filter(([key]) => key === name || key.startsWith(name + '{'))
			.reduce((sum, [, value]) => sum + value, 0);
	}

	/** All that a client's asking leaves behind: requests answered, streams open. */
	async traces() {
		return { requests: this.front.requests(), streams: await this.metric('snowgate_streams') };
	}

	async stop() {
		await this.front.stop();
		await this.gateway.stop();
	}
}

/** An emulator and a fronted gateway, both ended after the tests of the file. */
export async function fronted(conf, args) {
	const emulator = await Emulator.start(args);
	const front = await Fronted.start(emulator, conf);
	after(async () => {
		await front.stop();
		await emulator.stop();
	});
	return { emulator, front };
}

let names = 0;

/** A statement that runs so long: its text, and what names it. */
export async function held(emulator, ms) {
	const name = `HELD_${process.pid}_${++names}_`; // no other name begins with it
	await emulator.hold(name, ms);
	return { name, sql: `SELECT 42 AS ${name}` };
}

/** A call, and the moment from which it can be resumed: progress comes after the event that it is resumed from. */
export function watched(c, sql, how) {
	let told;
	const streaming = new Promise((resolve) => told = resolve);
	return { call: c.query(sql, { format: 'json' }, { onprogress: told, ...how }), streaming };
}

/** A table of one row, made by statements that nobody is asked about. */
export async function table(c) {
	const name = `ASKED_${process.pid}_${++names}_`;
	const made = await c.query(`CREATE TABLE ${name} AS SELECT 1 AS N`);
	if (made.isError)
		throw new Error(made.content[0].text);
	return name;
}

/** Content that a question's form allows, in the sense of yes. */
export function agreed(schema) {
	return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, part]) => {
		const choices = part.enum ?? part.oneOf?.map((c) => c.const);
		return [name, part.type === 'boolean' ? true : choices?.[0] ?? part.default ?? 'yes'];
	}));
}

export const stateOf = (emulator, name, state) => waitFor(`${name} ${state}`,
	async () => (await emulator.records(name))[0]?.state === state);

const REMOTE = join(import.meta.dirname, 'node_modules/mcp-remote/dist/proxy.js');

/** A client of one kind that talks to mcp-remote, which talks to the front. */
export async function remote(kind, front, options, prepare = () => {}) {
	const home = mkdtempSync(join(tmpdir(), 'snowgate-remote-'));
	const client = kind.make(options);
	const transport = new StdioClientTransport({ command: process.execPath, stderr: 'pipe',
		args: [REMOTE, front.url, '--transport', 'http-only', '--header', `Authorization: Bearer ${front.key}`],
		env: { ...process.env, HOME: home, MCP_REMOTE_CONFIG_DIR: home, NODE_EXTRA_CA_CERTS: front.front.certificate } });
	const log = [];
	transport.stderr.on('data', (data) => log.push(String(data)));
	prepare(client);
	await client.connect(transport).catch((e) => {
		throw new Error(`${e.message}\n${log.join('')}`);
	});
	const close = async () => {
		await client.close();
		rmSync(home, { recursive: true, force: true });
	};
	return { ...faceOf(kind, client), transport, log, close };
}
