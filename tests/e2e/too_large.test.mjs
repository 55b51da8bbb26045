// A body over listen.max_body is answered 413, and the sender sees that answer however eagerly it writes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, failureOf, KINDS, rig } from './lib.mjs';

const TRIES = 50;
const MIB = 1 << 20;
const { gateway } = await rig();
const headers = { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' };
const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call',
	params: { name: 'execute_query', arguments: { query: 'SELECT 1 --' + 'x'.repeat(5 * MIB) } } });

async function assertSeen(makeInit) {
	for (let i = 0; i < TRIES; i++) {
		const answer = await fetch(gateway.url, { method: 'POST', headers, ...makeInit() });
		assert.equal(answer.status, 413, `try ${i + 1}`);
		assert.match((await answer.json()).error.message, /request body is larger than .*listen\.max_body/);
	}
}

test('5 MiB with its length', () => assertSeen(() => ({ body })));

test('5 MiB in chunks', () => assertSeen(() => ({ duplex: 'half', body: new Blob([body]).stream() })));

test('a body under the limit is served', async () => {
	const sql = 'SELECT 1 -- ' + 'x'.repeat(200_000);
	for (const kind of KINDS) {
		const c = await connect(kind, gateway);
		assert.ok(!(await c.query(sql)).isError);
		await c.close();
	}
});

for (const kind of KINDS) {
	test(`${kind.name}: sees the text`, async () => {
		const c = await connect(kind, gateway);
		assert.match((await failureOf(c.query('SELECT 1 -- ' + 'x'.repeat(5 * MIB)))).text, /request body is larger than .*listen\.max_body/);
		assert.equal(c.recorder.last().status, 413);
		assert.ok(!(await c.query('SELECT 1')).isError);
		await c.close();
		assert.deepEqual(await c.recorder.violations(kind.revision), []);
	});
}
