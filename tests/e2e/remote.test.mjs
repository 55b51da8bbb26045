// mcp-remote: a client that knows standard input and output only, over TLS, through nginx, with a key. It passes on what
// it is given, but as one session of its own.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ASKED, asked, confirm, exercise } from './exercises.mjs';
import { fronted, held, remote, watched } from './front.mjs';
import { KINDS } from './lib.mjs';

const { emulator, front } = await fronted();
const kind = KINDS[0];

async function opened(prepared) {
	const c = await remote(kind, front, ASKED, prepared);
	after(() => c.close());
	return c;
}

describe('mcp-remote', () => {
	let c;
	const cancels = async () => (await front.metrics())['snowgate_cancels_total{cause="notification"}'];

	before(async () => {
		c = await remote(kind, front);
	});
	after(() => c.close());

	exercise(() => ({ c, emulator, cancels }));
	confirm(() => asked(kind, opened));

	test('a connection that breaks within a call', async () => {
		const { name, sql } = await held(emulator, 3000);
		const { call, streaming } = watched(c, sql);
		await streaming;
		await front.cut();
		assert.deepEqual((await call).structuredContent.rows, [[42]]);
		assert.equal((await emulator.records(name))[0].executions, 1);
		assert.ok((await front.metrics())['snowgate_stream_resumes_total{outcome="resumed"}'] > 0);
		assert.ok(!(await c.query('SELECT 1')).isError);
	});
});
