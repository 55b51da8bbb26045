// What each official client sees of a call that goes well, of one that fails, and of one that takes long.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connect, failureOf, KINDS, rig, textOf, waitFor } from './lib.mjs';

const { emulator, gateway } = await rig();
const CORE = ['execute_query', 'get_result', 'cancel_query', 'list_objects', 'search_catalog', 'describe_object', 'set_context'];

for (const kind of KINDS) {
	describe(kind.name, () => {
		let c;
		before(async () => {
			await emulator.reset();
			c = await connect(kind, gateway);
		});
		after(async () => {
			await c.close();
			assert.deepEqual(await c.recorder.violations(kind.revision), []);
		});

		test('negotiates its revision', () => {
			assert.equal(c.client.getServerVersion().name, 'snowgate');
			const posts = c.recorder.exchanges.filter((e) => e.method === 'POST');
			assert.equal(posts.at(-1).requestHeaders.get('mcp-protocol-version'), kind.revision);
			assert.equal(c.client.getInstructions().length > 0, true);
		});

		test('lists the tools', async () => {
			const { tools } = await c.client.listTools();
			const names = tools.map((t) => t.name);
			for (const name of CORE)
				assert.ok(names.includes(name), name);
			for (const tool of tools) {
				assert.equal(tool.inputSchema.type, 'object');
				assert.equal(typeof tool.annotations.readOnlyHint, 'boolean');
			}
		});

		test('runs a query', async () => {
			const csv = await c.query('SELECT 1 AS ONE, \'a,b\' AS TWO');
			assert.ok(!csv.isError, textOf(csv));
			assert.match(textOf(csv), /ONE,TWO\r?\n1,"a,b"/);
			const json = await c.query('SELECT 7 AS N', { format: 'json' });
			assert.deepEqual(json.structuredContent.rows, [[7]]);
			assert.deepEqual(JSON.parse(textOf(json)), json.structuredContent);
		});

		test('reads the rest of a long result', async () => {
			const first = await c.query('SELECT N_NAME FROM NATION ORDER BY N_NAME', { format: 'json', limit: 20 });
			assert.equal(first.structuredContent.rowCount, 20);
			assert.equal(first.structuredContent.truncated, true);
			const { statementHandle, nextOffset } = first.structuredContent;
			const rest = await c.call('get_result', { statement_handle: statementHandle, offset: nextOffset, format: 'json' });
			assert.equal(rest.structuredContent.rows.length, 5);
		});

		test('gets a SQL error\'s text', async () => {
			const { text, result } = await failureOf(c.query('SELECT * FROM NO_SUCH_TABLE'));
			assert.match(text, /002003/);
			assert.match(text, /NO_SUCH_TABLE/);
			assert.equal(result._meta['snowgate/error'].retryable, false);
		});

		test('gets a syntax error\'s text', async () => {
			assert.match((await failureOf(c.query('SELECT * FORM NATION N'))).text, /001003/);
		});

		test('gets the guard\'s refusal', async () => {
			for (const sql of ['DROP TABLE NATION', 'SELECT 1; SELECT 2', 'CALL SYSTEM$WAIT(10)', 'SELECT SYSTEM$WAIT(10)']) {
				const { text, result } = await failureOf(c.query(sql));
				assert.ok(result, text);
				assert.ok(text.length > 20, text);
			}
			assert.match((await failureOf(c.query('DROP TABLE NATION'))).text, /DROP/);
			assert.deepEqual(await emulator.records('DROP TABLE'), []);
		});

		test('gets a text for bad arguments', async () => {
			const cases = [
				[{}, /query/], [{ query: 5 }, /query/], [{ query: 'SELECT 1', limit: 'ten' }, /limit/],
				[{ query: 'SELECT 1', nonsense: 1 }, /nonsense/], [{ query: '' }, /query/],
				[{ query: 'SELECT 1', format: 'xml' }, /format/],
			];
			for (const [args, expected] of cases)
				assert.match((await failureOf(c.call('execute_query', args))).text, expected, JSON.stringify(args));
			assert.match((await failureOf(c.call('get_result', { statement_handle: 'nothing' }))).text, /handle/);
		});

		test('gets a text for an unknown tool and an unknown method', async () => {
			assert.match((await failureOf(c.call('drop_everything', {}))).text, /drop_everything/);
			assert.match((await failureOf(c.request('nonsense/list'))).text, /nonsense\/list|unknown method/i);
		});

		test('gets `running`, then the rows', async () => {
			await emulator.hold('AS SLOW_ONE', 1500);
			const running = await c.query('SELECT 42 AS SLOW_ONE', { wait_seconds: 0, format: 'json' });
			assert.ok(!running.isError, textOf(running));
			assert.equal(running.structuredContent.status, 'running');
			assert.match(textOf(running), /running/);
			const args = { statement_handle: running.structuredContent.statementHandle, format: 'json', wait_seconds: 20 };
			assert.deepEqual((await c.call('get_result', args)).structuredContent.rows, [[42]]);
		});

		test('gets `running` as text too, and cancels', async () => {
			await emulator.hold('AS SLOW_TWO', 60_000);
			const text = textOf(await c.query('SELECT 43 AS SLOW_TWO', { wait_seconds: 0 }));
			assert.match(text, /running/);
			const handle = text.match(/[0-9a-f]{8}-[0-9a-f-]{27}\.[\w-]+/)[0];
			const cancelled = await c.call('cancel_query', { statement_handle: handle });
			assert.ok(!cancelled.isError, textOf(cancelled));
			await waitFor('the cancel', async () => (await emulator.records('SLOW_TWO'))[0].state === 'cancelled');
			const { text: after } = await failureOf(c.call('get_result', { statement_handle: handle }));
			assert.match(after, /cancel/i);
		});

		test('waits for an answer that takes a while', async () => {
			await emulator.hold('AS SLOW_THREE', 1500);
			const result = await c.query('SELECT 44 AS SLOW_THREE', { format: 'json' }, { onprogress: () => {} });
			assert.deepEqual(result.structuredContent.rows, [[44]]);
		});

		test('a call that the client gives up on is cancelled at Snowflake', async () => {
			await emulator.hold('AS SLOW_FOUR', 60_000);
			const abort = new AbortController();
			const call = c.query('SELECT 45 AS SLOW_FOUR', {}, { signal: abort.signal });
			await waitFor('the statement', async () => (await emulator.records('SLOW_FOUR')).length);
			abort.abort('enough');
			assert.match((await failureOf(call)).text, /enough|abort/i);
			await waitFor('the cancel', async () => (await emulator.records('SLOW_FOUR'))[0].state === 'cancelled');
		});
	});
}
