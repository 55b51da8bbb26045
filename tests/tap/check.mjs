// check.mjs FOLDER [--some]: every message that a gateway sent while tap.c recorded it in FOLDER satisfies the official
// schema of the revision in force, as the type that it has to be there. Prints how many of each revision and type were
// validated, then "N passed, N failed", where each revision and type counts one. That nothing was recorded is a failure, but
// with --some.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { judge } from '../e2e/schema.mjs';
import { EventReader, HttpReader } from './http.mjs';
import { recordsOf } from './records.mjs';

const MODERN = '2026-07-28';
const LATEST_LEGACY = '2025-11-25';
const UNNAMED = '2025-03-26'; // what a client speaks that names no revision
// The schema that judges what a legacy client is sent; for the oldest revision there is none in the bundle.
const NEAREST = new Map([['2024-11-05', UNNAMED], [UNNAMED, UNNAMED], ['2025-06-18', '2025-06-18'],
	[LATEST_LEGACY, LATEST_LEGACY]]);
const CLAIM = 'io.modelcontextprotocol/protocolVersion';
const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId';
const ENDPOINT = '/mcp'; // listen.path, as every test leaves it
const EXAMPLES = 3;
const EXAMPLE_CHARS = 1500;
// What refuses a request for its head, or for what it is before it is read as JSON-RPC.
const BEFORE_BODY = new Set([401, 403, 405, 406, 408, 411, 413, 414, 415, 417, 421, 429, 431, 501, 503, 505]);
const NO_REQUEST = new Set([-32700, -32600]); // with 400: neither does a request that is none have an id

/** What was validated, and what was wrong with it. */
class Tally {
	types = new Map();
	others = new Map();

	add(revision, type, faults, where, message) {
		const name = `${revision} ${type}`;
		const row = this.types.get(name) ?? { name, n: 0, bad: 0, examples: new Map() };
		this.types.set(name, row);
		row.n++;
		if (!faults.length)
			return;
		row.bad++;
		const key = faults.join('; ').replace(/\/\d+/g, '/N');
		const text = `${where}: ${JSON.stringify(message).slice(0, EXAMPLE_CHARS)}`;
		const example = row.examples.get(key) ?? { n: 0, text };
		example.n++;
		if (example.n > 1 || row.examples.size < EXAMPLES)
			row.examples.set(key, example);
	}

	/** A message of which nobody can say what it answers. */
	lost(reason, where, message) {
		this.add('no revision', '(not attributable)', [reason], where, message);
	}

	note(what) {
		this.others.set(what, (this.others.get(what) ?? 0) + 1);
	}

	report() {
		let failed = 0;
		for (const row of [...this.types.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
			failed += row.bad > 0;
			if (row.bad)
				console.log(`not ok: ${row.name}: ${row.bad} of ${row.n} are wrong`);
			else
				console.log(`    ${row.name}: ${row.n} validated`);
			for (const [faults, { n, text }] of row.examples)
				console.log(`    ${n} times: ${faults}\n        ${text}`);
		}
		for (const [what, n] of this.others)
			console.log(`    ${what}: ${n}`);
		return { passed: this.types.size - failed, failed };
	}
}

const tally = new Tally();
const sessions = new Map(); // by id: {revision, requests}; ids are of 128 random bits, so that all processes share the map

function parsed(text) {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}

const isObject = (v) => typeof v === 'object' && v !== null && !Array.isArray(v);
const keyOf = (id) => JSON.stringify(id);
// Also what is no valid request, but has an id that an error can name.
const asks = (m) => isObject(m) && (typeof m.id === 'string' || Number.isInteger(m.id)) &&
	('method' in m || !('result' in m || 'error' in m));
const isRequest = (m) => asks(m) && typeof m.method === 'string';
const isNotification = (m) => isObject(m) && typeof m.method === 'string' && m.id === undefined;
const isModern = (m) => isObject(m) && isObject(m.params) && isObject(m.params._meta) && CLAIM in m.params._meta;
const isResponse = (m) => isObject(m) && m.method === undefined && m.id !== undefined;

/** The requests of a body that a client sent, as little of each as is needed: {method, modern, revision}. */
function requestsOf(body, into) {
	for (const m of [body].flat().filter(asks)) {
		const known = into.get(keyOf(m.id)) ?? [];
		const same = (r) => r.method === m.method && r.modern === isModern(m);
		if (!known.some(same))
			into.set(keyOf(m.id),
				[...known, { method: m.method, modern: isModern(m), revision: m.params?.protocolVersion }]);
	}
	return into;
}

/** The revision that an answer to `initialize` settles; undefined where it settles none. */
const settled = (request, message) => (request?.method === 'initialize' && !request.modern && message.result
	? NEAREST.get(message.result.protocolVersion) ?? 'none' : undefined);

/** Validates a message as the answer to any of the requests that bore its id, most likely one. */
function validate(revisions, message, requests, where) {
	let worst;
	for (const [i, request] of requests.entries()) {
		if (revisions[i] === 'none')
			return tally.lost('initialize settles no revision of the legacy era', where, message);
		const { type, faults } = judge(revisions[i], message, request?.method);
		worst = { revision: revisions[i], type, faults };
		if (!faults.length)
			break;
	}
	return tally.add(worst.revision, worst.type, worst.faults, where, message);
}

/** One POST, GET or other request, and what was sent in answer to it. */
class Exchange {
	constructor(head) {
		this.method = head?.first[0] ?? '(no request)';
		this.target = head?.first[1] ?? '';
		this.headers = head?.headers ?? new Map();
		this.pieces = [];
		this.requests = new Map();
		this.body = undefined; // undefined: not read to its end, or no JSON
	}

	/** The request is there as a whole. */
	arrived() {
		this.body = parsed(Buffer.concat(this.pieces).toString());
		this.pieces = [];
		requestsOf(this.body, this.requests);
		const session = sessions.get(this.headers.get('mcp-session-id'));
		if (session && !this.modern)
			requestsOf(this.body, session.requests);
	}

	get modern() {
		return [this.body].flat().some(isModern) || this.headers.get('mcp-protocol-version') === MODERN;
	}

	get atEndpoint() {
		return this.target.split('?')[0] === ENDPOINT;
	}

	get where() {
		const asked = [...this.requests.values()].flat().map((r) => r.method);
		return `${this.method} ${this.target} ${asked} -> ${this.status}`;
	}

	/** The revision in force for what is sent in answer to `request`, or beside any answer. */
	revision(request, message) {
		const header = this.headers.get('mcp-protocol-version');
		const session = sessions.get(this.headers.get('mcp-session-id'));
		if (this.modern)
			return MODERN;
		if (request?.method === 'initialize')
			return settled(request, message) ?? NEAREST.get(request.revision) ?? LATEST_LEGACY;
		return session?.revision ?? NEAREST.get(header) ?? (header ? LATEST_LEGACY : UNNAMED);
	}

	answered(status, headers) {
		Object.assign(this, { status, answer: headers, type: (headers.get('content-type') ?? '').split(';')[0] });
	}

	/** The requests that bear the id of a response: of this POST; on a resumed stream, of the session. */
	candidates(message) {
		const session = sessions.get(this.headers.get('mcp-session-id'));
		const requests = this.method === 'GET' ? session?.requests : this.requests;
		return requests?.get(keyOf(message.id));
	}

	sent(message) {
		if (isObject(message) && message.method === undefined && message.id === undefined)
			return this.sentWithoutId(message);
		if (!isResponse(message))
			return validate([this.revision()], message, [undefined], this.where);
		const found = this.candidates(message);
		if (!found)
			return tally.lost('a response to no request of this id', this.where, message);
		for (const request of found)
			this.learn(request, message);
		return validate(found.map((r) => this.revision(r, message)), message, found, this.where);
	}

	/** An error that answers no readable request. That it may have no id is said by the transport of every revision, but only
	 * by the schemas from 2025-11-25 on. */
	sentWithoutId(message) {
		const refused = BEFORE_BODY.has(this.status) || (this.status === 404 && !this.atEndpoint)
			|| (this.status === 400 && NO_REQUEST.has(message.error?.code));
		const asked = [this.body].flat(); // an element of a batch that is no message has no id
		if (asked.some(isRequest) && asked.every((m) => isRequest(m) || isNotification(m)) && !refused)
			return tally.lost('no id, and the request had one', this.where, message);
		const revision = this.revision() === MODERN ? MODERN : LATEST_LEGACY;
		return validate([revision], message, [undefined], this.where);
	}

	learn(request, message) {
		const id = this.answer.get('mcp-session-id');
		const revision = settled(request, message);
		if (id && revision && !sessions.has(id))
			sessions.set(id, { revision, requests: new Map() });
	}

	sentText(text) {
		const body = parsed(text);
		if (body === undefined)
			return tally.lost('no JSON', this.where, text);
		if (!this.atEndpoint && !('jsonrpc' in Object(body)))
			return tally.note('JSON that is no message, from other paths');
		if (Array.isArray(body) && this.revision() !== UNNAMED)
			return tally.lost(`${this.revision()} knows no batches`, this.where, body);
		return [body].flat().forEach((m) => this.sent(m));
	}
}

/** Both directions of a connection. */
class Connection {
	constructor() {
		this.waiting = []; // requests without an answer yet, oldest first
		this.request = new HttpReader(false, {
			head: (head) => this.waiting.push(this.coming = new Exchange(head)) && false,
			data: (piece) => this.coming.pieces.push(Buffer.from(piece)),
			end: () => this.coming.arrived(),
		});
		this.answer = new HttpReader(true, {
			head: (head) => this.answerBegins(Number(head.first[1]), head.headers),
			data: (piece) => this.answerData(piece),
			end: () => this.answerEnds(),
		});
	}

	received(data) {
		this.request.push(data);
	}

	sent(data) {
		this.answer.push(data);
	}

	closed() {
		this.answer.close();
		if (this.pieces?.length)
			tally.note('bodies cut off by the end of a connection');
	}

	answerBegins(status, headers) {
		this.interim = status < 200;
		if (this.interim)
			return true;
		this.exchange = this.waiting.shift() ?? new Exchange();
		this.exchange.answered(status, headers);
		this.events = this.exchange.type === 'text/event-stream'
			&& new EventReader((text) => this.exchange.sentText(text));
		this.pieces = this.exchange.type === 'application/json' ? [] : undefined;
		return status === 204 || status === 304 || this.exchange.method === 'HEAD';
	}

	answerData(piece) {
		if (this.events)
			this.events.push(piece);
		else
			this.pieces?.push(Buffer.from(piece));
	}

	answerEnds() {
		if (!this.interim && this.pieces?.length)
			this.exchange.sentText(Buffer.concat(this.pieces).toString());
		this.pieces = undefined;
	}
}

/** Lines in both directions. */
class Stdio {
	constructor() {
		Object.assign(this, { rests: { in: [], out: [] }, requests: new Map(), tokens: new Map(), revision: undefined,
			modern: false });
	}

	lines(side, data, take) {
		let start = 0;
		for (let at; (at = data.indexOf(10, start)) >= 0; start = at + 1) {
			take(Buffer.concat([...this.rests[side], data.subarray(start, at)]).toString());
			this.rests[side] = [];
		}
		this.rests[side].push(Buffer.from(data.subarray(start)));
	}

	received(data) {
		this.lines('in', data, (line) => {
			const body = parsed(line);
			for (const m of [body].flat().filter(isRequest)) {
				this.modern ||= isModern(m);
				if (m.params?._meta?.progressToken !== undefined)
					this.tokens.set(keyOf(m.params._meta.progressToken), isModern(m));
			}
			requestsOf(body, this.requests);
		});
	}

	sent(data) {
		this.lines('out', data, (line) => {
			const body = parsed(line);
			if (body === undefined)
				tally.lost('no JSON', 'stdio', line);
			else
				[body].flat().forEach((m) => this.message(m));
		});
	}

	closed() {}

	/** The revision of what answers no request: of its subscription, of the call whose progress it tells, else of the
	 * session. */
	ofItself(message) {
		const token = message?.params?.progressToken;
		const modern = this.tokens.get(keyOf(token ?? null)) ?? (!this.revision && this.modern);
		if (modern || message?.params?._meta?.[SUBSCRIPTION] !== undefined)
			return MODERN;
		return this.revision ?? LATEST_LEGACY;
	}

	message(message) {
		const where = 'stdio';
		if (!isResponse(message))
			return validate([this.ofItself(message)], message, [undefined], where);
		const found = this.requests.get(keyOf(message.id));
		if (!found)
			return tally.lost('a response to no request of this id', where, message);
		for (const request of found)
			this.revision = settled(request, message) ?? this.revision;
		const force = (r) => (r.modern ? MODERN : this.revision ?? NEAREST.get(r.revision) ?? LATEST_LEGACY);
		return validate(found.map(force), message, found, `stdio ${found.map((r) => r.method)}`);
	}
}

function checkFile(path) {
	const open = new Map();
	for (const { connection, kind, data } of recordsOf(path)) {
		if (kind === 'a' || kind === 's')
			open.set(connection, kind === 'a' ? new Connection() : new Stdio());
		else if (kind === '<')
			open.get(connection)?.received(data);
		else if (kind === '>')
			open.get(connection)?.sent(data);
		else if (open.get(connection) instanceof Connection) {
			open.get(connection).closed();
			open.delete(connection);
		}
	}
	for (const conversation of open.values())
		conversation.closed();
}

// Names begin with the time of the start: a process that goes on with another's sessions comes after it.
const files = readdirSync(process.argv[2]).sort();
for (const name of files)
	checkFile(join(process.argv[2], name));
console.log(`every message sent, against the schema of its revision (${files.length} processes):`);
const { passed, failed } = tally.report();
const missing = process.argv[3] !== '--some' && passed + failed === 0 ? 1 : 0;
if (missing)
	console.log('not ok: no message was recorded');
console.log(`${passed} passed, ${failed + missing} failed`);
process.exit(failed + missing ? 1 : 0);
