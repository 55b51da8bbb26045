// Every message of every revision against the published schema of that revision, the transport's refusals included.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MODERN, Recorder, rig } from './lib.mjs';
import { violationsOf } from './schema.mjs';

const META = 'io.modelcontextprotocol/';
const { emulator, gateway } = await rig({ keys: ['someone'] });
const ACCEPT = 'application/json, text/event-stream';

/** A client without opinions: it sends what it is told and keeps what comes. */
class Raw {
	constructor(revision) {
		this.revision = revision;
		this.recorder = new Recorder();
		const key = gateway.keys.someone;
		this.headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json', Accept: ACCEPT };
		this.id = 1;
	}

	/** {status, headers, message} of one POST; `more` headers: undefined takes one away. */
	async post(body, more = {}) {
		const headers = Object.fromEntries(Object.entries({ ...this.headers, ...more }).filter(([, v]) => v !== undefined));
		const text = typeof body === 'string' ? body : JSON.stringify(body);
		await this.recorder.fetch(gateway.url, { method: 'POST', headers, body: text });
		await this.recorder.settled();
		const e = this.recorder.exchanges.at(-1);
		return { status: e.status, headers: e.headers, message: e.messages[0], messages: e.messages };
	}

	request(method, params, more = {}) {
		const named = params?.name ? { 'Mcp-Name': params.name } : {};
		const modern = this.revision === MODERN;
		const message = { jsonrpc: '2.0', id: this.id++, method, params: { ...params } };
		if (modern)
			message.params._meta = { [`${META}protocolVersion`]: MODERN, [`${META}clientCapabilities`]: {} };
		return this.post(message, { ...(modern ? { 'Mcp-Method': method, ...named } : {}), ...more });
	}

	tool(name, args) {
		return this.request('tools/call', { name, arguments: args });
	}

	async open() {
		this.headers['MCP-Protocol-Version'] = this.revision;
		if (this.revision === MODERN)
			return this.request('server/discover');
		const answer = await this.request('initialize', { protocolVersion: this.revision, capabilities: {},
			clientInfo: { name: 'raw', version: '1' } });
		this.headers['Mcp-Session-Id'] = answer.headers.get('mcp-session-id');
		const sent = await this.post({ jsonrpc: '2.0', method: 'notifications/initialized' });
		assert.equal(sent.status, 202);
		assert.deepEqual(sent.messages, []);
		return answer;
	}
}

for (const revision of ['2025-03-26', '2025-06-18', '2025-11-25', MODERN]) {
	describe(revision, () => {
		test('its messages are valid', async () => {
			await emulator.reset();
			await emulator.hold('AS SLOW', 60_000);
			const raw = new Raw(revision);
			const opened = (await raw.open()).message.result;
			assert.ok(revision === MODERN ? opened.supportedVersions.includes(MODERN) : opened.protocolVersion === revision);
			assert.ok((await raw.request('tools/list')).message.result.tools.length > 5);
			if (revision !== MODERN)
				assert.deepEqual((await raw.request('ping')).message.result, {});
			const calls = [
				['execute_query', { query: 'SELECT 1' }], ['execute_query', { query: 'SELECT 1 AS N', format: 'json' }],
				['list_objects', { kind: 'table' }], ['list_objects', { kind: 'database', format: 'json' }],
				['describe_object', { names: ['NATION'] }], ['set_context', {}],
				['execute_query', { query: 'SELECT 1 AS SLOW', wait_seconds: 0, format: 'json' }],
			];
			for (const [name, args] of calls) {
				const { result } = (await raw.tool(name, args)).message;
				assert.ok(!result.isError, JSON.stringify(result));
				assert.equal('structuredContent' in result && revision < '2025-06-18', false);
			}
			const failures = [
				['execute_query', { query: 'SELECT * FROM NOWHERE' }], ['execute_query', { query: 'DROP TABLE NATION' }],
				['execute_query', {}], ['get_result', { statement_handle: 'x' }], ['describe_object', { names: ['NOWHERE'] }],
			];
			for (const [name, args] of failures)
				assert.equal((await raw.tool(name, args)).message.result.isError, true, name);
			assert.equal((await raw.tool('nonsense', {})).message.error.code, -32602);
			assert.equal((await raw.request('nonsense/list')).message.error.code, -32601);
			assert.deepEqual(await raw.recorder.violations(revision), []);
			const { message } = await raw.request('tools/call', {}); // which is not valid itself
			assert.equal(message.error.code, -32602);
			assert.deepEqual(violationsOf(revision, message), []);
			await emulator.reset();
		});
	});
}

// An error that answers no readable request has no id; the schemas before 2025-11-25 know no such message.
for (const revision of ['2025-11-25', MODERN]) {
	test(`${revision}: the refusals of the transport are valid`, async () => {
		const raw = new Raw(revision);
		await raw.open();
		const ping = { jsonrpc: '2.0', id: 1, method: 'tools/list' };
		if (revision === MODERN)
			ping.params = { _meta: { [`${META}protocolVersion`]: MODERN, [`${META}clientCapabilities`]: {} } };
		const modern = revision === MODERN ? { 'Mcp-Method': 'tools/list' } : {};
		const cases = [
			[401, ping, { Authorization: undefined }], [401, ping, { Authorization: 'Bearer nonsense' }],
			[403, ping, { Origin: 'https://evil.example.com' }], [415, ping, { 'Content-Type': 'text/plain' }],
			[415, ping, { 'Content-Encoding': 'gzip' }],
			[400, '{"jsonrpc":', {}], [400, '[]', {}], [400, '{"jsonrpc":"1.0","id":1,"method":"x"}', {}],
			[400, '{"jsonrpc":"2.0","id":null,"method":"x"}', {}], [400, 'null', {}],
			[400, ping, { 'MCP-Protocol-Version': '1999-01-01' }],
		];
		if (revision === MODERN)
			cases.push([400, ping, { 'Mcp-Method': undefined }], [400, ping, { 'Mcp-Method': 'tools/call' }]);
		else
			cases.push([404, ping, { 'Mcp-Session-Id': 'nonsense' }], [406, ping, { Accept: 'image/png' }]);
		for (const [status, body, more] of cases) {
			const answer = await raw.post(body, { ...modern, ...more });
			const what = JSON.stringify([body, more, answer.message]);
			assert.equal(answer.status, status, what);
			assert.ok(answer.message.error.message.length > 10, what);
			assert.notEqual(answer.message.id, null, what);
			assert.deepEqual(violationsOf(revision, answer.message), [], what);
			if (status === 401)
				assert.match(answer.headers.get('www-authenticate'), /^Bearer/);
		}
	});
}

test('the check itself finds what is wrong', () => {
	for (const revision of ['2025-03-26', '2025-06-18', '2025-11-25', MODERN]) {
		const wrong = [
			[{ id: 1, result: { tools: [{ name: 5 }] } }, 'tools/list'],
			[{ id: 1, result: { content: [{ type: 'text' }] } }, 'tools/call'],
			[{ id: 1, error: { code: 'x', message: 'y' } }], [{ id: null, error: { code: 1, message: 'y' } }],
		];
		for (const [message, method] of wrong)
			assert.notDeepEqual(violationsOf(revision, { jsonrpc: '2.0', ...message }, method), []);
	}
});
