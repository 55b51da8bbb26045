// The check of what was recorded finds what is wrong in it: conversations written here as tap.c would write them.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';

const MODERN = '2026-07-28';
const CLAIM = { _meta: { 'io.modelcontextprotocol/protocolVersion': MODERN, 'io.modelcontextprotocol/clientCapabilities': {} } };
const PING = { jsonrpc: '2.0', id: 1, method: 'ping' };
const PONG = { jsonrpc: '2.0', id: 1, result: {} };
const CALL = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'x' } };
const DONE = { jsonrpc: '2.0', id: 2, result: { content: [] } };
const PROGRESS = { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress: 1 } };
const modern = (m) => ({ ...m, params: { ...m.params, ...CLAIM } });

function record(kind, data = '', connection = 1) {
	const bytes = Buffer.from(data);
	const head = new Uint32Array([connection, kind.charCodeAt(0), bytes.length]);
	return Buffer.concat([Buffer.from(head.buffer), bytes]);
}

const linesOf = (headers) => Object.entries(headers).map(([k, v]) => `${k}: ${v}\r\n`).join('');
const text = (body) => (body === undefined || typeof body === 'string' ? body ?? '' : JSON.stringify(body));

function post(body, headers = {}) {
	return record('<', `POST /mcp HTTP/1.1\r\nHost: a\r\n${linesOf(headers)}Content-Length: ${Buffer.byteLength(text(body))}\r\n\r\n`
		+ text(body));
}

function answer(body, headers = {}, status = 200) {
	return record('>', `HTTP/1.1 ${status} X\r\nContent-Type: application/json\r\n${linesOf(headers)}`
		+ `Content-Length: ${Buffer.byteLength(text(body))}\r\n\r\n${text(body)}`);
}

/** An event stream in chunks, sent a few bytes at a time. */
function stream(messages, size = 7) {
	const events = messages.map((m) => `event: message\nid: a.1\ndata: ${text(m)}\n\n`);
	const bytes = Buffer.from('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n'
		+ events.map((e) => `${Buffer.byteLength(e).toString(16)}\r\n${e}\r\n`).join('') + '0\r\n\r\n');
	return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => record('>', bytes.subarray(i * size, i * size + size)));
}

function session(revision, id = `s-${revision}`) {
	const result = { protocolVersion: revision, capabilities: {}, serverInfo: { name: 'x', version: '1' } };
	const params = { protocolVersion: revision, capabilities: {}, clientInfo: { name: 'x', version: '1' } };
	return [post({ jsonrpc: '2.0', id: 0, method: 'initialize', params }),
		answer({ jsonrpc: '2.0', id: 0, result }, { 'Mcp-Session-Id': id })];
}

function check(...records) {
	const folder = mkdtempSync(join(tmpdir(), 'snowgate-check-'));
	try {
		if (records.length)
			writeFileSync(join(folder, '1-1'), Buffer.concat(records.flat(9)));
		return spawnSync(process.execPath, [join(import.meta.dirname, 'check.mjs'), folder], { encoding: 'utf8' }).stdout;
	} finally {
		rmSync(folder, { recursive: true });
	}
}

const http = (...records) => check(record('a'), records, record('c'));
const stdio = (...lines) => check(record('s'), lines.map(([kind, m]) => record(kind, text(m) + '\n')));
const inSession = (revision) => ({ 'Mcp-Session-Id': `s-${revision}` });

function accepts(out, ...validated) {
	for (const line of validated)
		assert.ok(out.includes(`    ${line} validated`), `${line}\n${out}`);
	assert.match(out, / passed, 0 failed\n$/);
}

function refuses(out, why) {
	assert.match(out, why);
	assert.match(out, / passed, [1-9]\d* failed\n$/);
}

describe('the check of recorded messages', () => {
	test('takes the revision from the session, the header, or the message', () => {
		const legacy = '2025-06-18';
		accepts(http(session(legacy), post(PING, inSession(legacy)), answer(PONG), post(PING, { 'MCP-Protocol-Version': '2025-11-25' }),
			answer(PONG), post(PING), answer(PONG), post(modern(CALL)),
			answer({ ...DONE, result: { ...DONE.result, resultType: 'complete' } })),
		`${legacy} EmptyResult: 1`, '2025-11-25 EmptyResult: 1', '2025-03-26 EmptyResult: 1', `${MODERN} CallToolResult: 1`,
		`${legacy} InitializeResult: 1`);
	});

	test('judges the oldest revision by the nearest schema', () => {
		accepts(http(session('2024-11-05'), post(CALL, inSession('2024-11-05')), answer(DONE)), '2025-03-26 CallToolResult: 1');
	});

	test('finds the type by the request', () => {
		refuses(http(post(CALL), answer({ ...DONE, result: {} })), /CallToolResult must have required property 'content'/);
		refuses(http(post(modern(CALL)), answer(DONE)), /must have required property 'resultType'/);
		refuses(http(post(modern(PING)), answer(PONG)), /the revision has no method ping/);
		refuses(http(post(modern({ ...CALL, method: 'tools/list' })),
			answer({ ...DONE, result: { resultType: 'input_required' } })), /tools\/list is answered with input_required/);
	});

	test('reads pipelined requests in order', () => {
		accepts(http(post(PING), post(CALL), answer(PONG), answer(DONE)), '2025-03-26 EmptyResult: 1', '2025-03-26 CallToolResult: 1');
	});

	test('reads event streams, whole and cut', () => {
		accepts(http(post(CALL), stream([PROGRESS, DONE]), post(PING), answer(PONG)), '2025-03-26 ProgressNotification: 1',
			'2025-03-26 CallToolResult: 1', '2025-03-26 EmptyResult: 1');
		accepts(http(post(CALL), stream([PROGRESS, DONE]).slice(0, -5)), '2025-03-26 ProgressNotification: 1');
		refuses(http(post(CALL), stream([{ ...PROGRESS, params: {} }])), /ProgressNotification\/params must have required property/);
		refuses(http(post(CALL), stream([{ ...PROGRESS, method: 'notifications/initialized' }])), /a server sends no/);
	});

	test('finds the request of a resumed stream in its session', () => {
		const legacy = '2025-11-25';
		const get = record('<', `GET /mcp HTTP/1.1\r\nHost: a\r\nMcp-Session-Id: s-${legacy}\r\nLast-Event-ID: a.0\r\n\r\n`);
		accepts(http(session(legacy), post(CALL, inSession(legacy)), stream([PROGRESS]), get, stream([DONE])), `${legacy} CallToolResult: 1`);
		refuses(http(session(legacy), get, stream([DONE])), /a response to no request of this id/);
		refuses(http(session(legacy), post(CALL, inSession(legacy)), stream([PROGRESS]), get, stream([{ ...DONE, result: {} }])),
			/must have required property 'content'/);
	});

	test('knows which revision has batches', () => {
		accepts(http(post([PING, CALL]), answer([PONG, DONE])), '2025-03-26 EmptyResult: 1', '2025-03-26 CallToolResult: 1');
		refuses(http(session('2025-06-18'), post([PING, CALL], inSession('2025-06-18')), answer([PONG, DONE])), /knows no batches/);
	});

	test('an error without an id answers only what has none', () => {
		const error = { jsonrpc: '2.0', error: { code: -32700, message: 'x' } };
		accepts(http(post('{', { 'MCP-Protocol-Version': MODERN }), answer(error, {}, 400)), `${MODERN} JSONRPCErrorResponse: 1`);
		accepts(http(post('{'), answer(error, {}, 400)), '2025-11-25 JSONRPCErrorResponse: 1');
		refuses(http(post(PING), answer({ ...error, error: { code: -32602, message: 'x' } }, {}, 400)), /no id, and the request had one/);
		refuses(http(post('{'), answer({ ...error, id: null }, {}, 400)), /no request of this id/);
	});

	test('refuses what is no message', () => {
		refuses(http(post(PING), answer('{"jsonrpc"')), /no JSON/);
		refuses(http(post(PING), answer({ status: 'ok' })), /not attributable/);
		refuses(http(post(PING), answer({ ...PONG, id: '1' })), /a response to no request of this id/);
		refuses(check(), /no message was recorded/);
	});

	test('reads standard input and output', () => {
		const legacy = '2025-06-18';
		const greeting = { jsonrpc: '2.0', id: 0, result: { protocolVersion: legacy, capabilities: {}, serverInfo: { name: 'x', version: '1' } } };
		const hello = { jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: legacy } };
		accepts(stdio(['<', hello], ['>', greeting], ['<', CALL], ['>', PROGRESS], ['>', DONE]), `${legacy} InitializeResult: 1`,
			`${legacy} ProgressNotification: 1`, `${legacy} CallToolResult: 1`);
		const told = { ...CALL, params: { ...CALL.params, _meta: { ...CLAIM._meta, progressToken: 1 } } };
		accepts(stdio(['<', told], ['>', PROGRESS], ['>', { ...DONE, result: { content: [], resultType: 'complete' } }]),
			`${MODERN} ProgressNotification: 1`, `${MODERN} CallToolResult: 1`);
		refuses(stdio(['<', modern(CALL)], ['>', DONE]), /must have required property 'resultType'/);
	});
});
