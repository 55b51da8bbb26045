// Whatever breaks, its text reaches the caller of each official client: at Snowflake, at the gateway, in between.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { join } from 'node:path';
import { BUILD, connect, failureOf, Gateway, KINDS, prepare, rig, textOf, TOKEN, waitFor } from './lib.mjs';

const FAST = { snowflake: { retries: 1, request_timeout: '1s', connect_timeout: '1s' }, listen: { drain: '2s' } };
const { emulator, gateway } = await rig({ conf: FAST, keys: ['known'], emulator: ['--partition-bytes', '2000'] });
const key = gateway.keys.known;

/** A text that a person can act on: no HTML, no secret, and more than a code. */
function assertReadable(text) {
	assert.ok(text.length > 20, text);
	assert.doesNotMatch(text, /<html|<body|undefined|\[object/i);
	assert.ok(!text.includes(TOKEN) && !text.includes(key), 'a secret in ' + text);
}

const FAULTS = [
	['500 as JSON', { status: 500 }], ['500 as HTML', { status: 500, body: 'html' }],
	['502 without a body', { status: 502, body: 'empty' }], ['503', { status: 503 }],
	['429', { status: 429, retry_after: 1 }], ['403', { status: 403 }], ['200 that is no JSON', { not_json: true }],
	['half a body', { half_body: true }], ['half a gzip', { truncate_gzip: true }], ['silence', { hang: true }],
	['a reset', { reset_before: true }], ['a reset after the work', { reset_after: true }],
	['an enormous header', { huge_header: true }],
];
const PASSING = new Set(['403', 'an enormous header']); // not to be tried again, or of no harm

for (const kind of KINDS) {
	describe(kind.name, { concurrency: false }, () => {
		test('Snowflake fails for good', async () => {
			const c = await connect(kind, gateway, { key });
			for (const [name, action] of FAULTS) {
				await emulator.reset();
				await emulator.fault(action, { op: 'submit' });
				const { text, result } = await failureOf(c.query('SELECT 1 AS N'));
				assert.ok(result, `${name}: not a tool result: ${text}`);
				assertReadable(text);
				assert.equal(typeof result._meta['snowgate/error'].retryable, 'boolean', name);
				await emulator.reset();
				assert.ok(!(await c.query('SELECT 1')).isError, `${name}: does not recover`);
			}
			await c.close();
			assert.deepEqual(await c.recorder.violations(kind.revision), []);
		});

		test('Snowflake fails once', async () => {
			const c = await connect(kind, gateway, { key });
			for (const [name, action] of FAULTS.filter(([n]) => !PASSING.has(n))) {
				await emulator.reset();
				await emulator.fault(action, { op: 'submit' }, 1);
				const result = await c.query('SELECT 1 AS N', { format: 'json' });
				assert.ok(!result.isError, `${name}: ${textOf(result)}`);
				assert.deepEqual(result.structuredContent.rows, [[1]], name);
			}
			await emulator.reset();
			await c.close();
		});

		test('Snowflake fails while a statement is watched', async () => {
			const c = await connect(kind, gateway, { key });
			for (const [name, action] of FAULTS) {
				await emulator.reset();
				await emulator.hold('AS WATCHED', 50);
				await emulator.fault(action, { op: 'poll' });
				const call = c.query('SELECT 1 AS WATCHED', { wait_seconds: 3 });
				if (name === '429') // that it is busy says nothing of the statement, which may well run
					assert.match(textOf(await call), /running/);
				else
					assertReadable((await failureOf(call)).text);
			}
			await emulator.reset();
			await c.close();
			assert.deepEqual(await c.recorder.violations(kind.revision), []);
		});

		test('Snowflake fails while rows are fetched', async () => {
			const c = await connect(kind, gateway, { key });
			const sql = 'SELECT C_CUSTKEY, C_COMMENT FROM CUSTOMER ORDER BY 1';
			for (const [name, action] of FAULTS.filter(([n]) => !PASSING.has(n))) {
				await emulator.reset();
				await emulator.fault(action, { op: 'fetch' });
				const { text } = await failureOf(c.query(sql, { limit: 150 }));
				assertReadable(text);
				assert.match(text, name === '429' ? /429.*try again/ : /./, `${name}: ${text}`);
				await emulator.reset();
				await emulator.fault(action, { op: 'fetch' }, 1);
				const result = await c.query(sql, { limit: 150 });
				assert.ok(!result.isError, `${name}, once: ${textOf(result)}`);
			}
			await emulator.reset();
			await c.close();
			assert.deepEqual(await c.recorder.violations(kind.revision), []);
		});

		test('Snowflake fails while a statement is cancelled', async () => {
			const c = await connect(kind, gateway, { key });
			for (const [name, action] of FAULTS) {
				await emulator.reset();
				await emulator.hold('AS LONG', 3000);
				await emulator.fault(action, { op: 'cancel' });
				const running = await c.query('SELECT 1 AS LONG', { wait_seconds: 0, format: 'json' });
				const args = { statement_handle: running.structuredContent.statementHandle };
				const { text } = await failureOf(c.call('cancel_query', args));
				assertReadable(text);
				assert.match(text, name === '429' ? /429/ : /./, `${name}: ${text}`);
			}
			await emulator.reset();
			await c.close();
		});

		test('Snowflake refuses the credentials', async () => {
			const c = await connect(kind, gateway, { key });
			await emulator.fault({ status: 401 });
			const { text, result } = await failureOf(c.query('SELECT 1'));
			assertReadable(text);
			assert.match(text, /credential|token|authent/i);
			assert.equal(result._meta['snowgate/error'].retryable, false);
			await emulator.reset();
			await c.close();
		});

		test('Snowflake cannot be reached', async () => {
			const c = await connect(kind, gateway, { key });
			await emulator.stop('SIGKILL');
			const { text, result } = await failureOf(c.query('SELECT 1'));
			await emulator.run(emulator.port);
			assertReadable(text);
			assert.match(text, /reach|connect/i);
			assert.equal(result._meta['snowgate/error'].retryable, true);
			assert.ok(!(await c.query('SELECT 1')).isError);
			await c.close();
		});

		test('no key, a wrong key, a revoked key', async () => {
			for (const wrong of [undefined, 'nonsense', key.slice(0, -1) + (key.endsWith('A') ? 'B' : 'A')]) {
				const c = prepare(kind, gateway, { key: wrong });
				const { text } = await failureOf(c.connect());
				assert.equal(c.recorder.last().status, 401);
				await c.recorder.settled();
				const said = c.recorder.last().messages[0].error.message;
				assert.ok(text.includes(said), `${text} lacks ${said}`);
				assert.deepEqual(await c.recorder.violations(kind.revision), []);
				await c.close();
			}
			const own = await Gateway.start({ upstream: emulator.port, keys: ['known', 'leaver'] });
			const c = await connect(kind, own, { key: own.keys.leaver });
			assert.ok(!(await c.query('SELECT 1')).isError);
			execFileSync(join(BUILD, 'snowgate'), ['key', 'revoke', 'leaver', '-c', own.file],
				{ stdio: 'ignore' });
			const failure = await waitFor('the revocation', () => failureOf(c.query('SELECT 1')).catch(() => null));
			assert.match(failure.text, /key|auth/i);
			assert.equal(c.recorder.last().status, 401);
			await c.close();
			await own.stop();
		});

		test('the gateway is restarted', async () => {
			const own = await Gateway.start({ upstream: emulator.port, conf: FAST });
			const c = await connect(kind, own);
			assert.ok(!(await c.query('SELECT 1')).isError);
			assert.equal(await own.restart('SIGTERM'), 0);
			await sessionIsGoneOrGoesOn(c, own);
			await own.restart('SIGKILL');
			await sessionIsGoneOrGoesOn(c, own);
			await own.stop();
			const { text } = await failureOf(c.query('SELECT 1'));
			assert.match(text, /ECONNREFUSED|fetch failed/);
			await c.close();
		});

		test('the gateway is stopped while a call is under way', async () => {
			const own = await Gateway.start({ upstream: emulator.port, conf: FAST });
			const c = await connect(kind, own);
			await emulator.reset();
			await emulator.hold('AS LONG_ONE', 1000);
			await emulator.hold('AS LONG_TWO', 60_000);
			const [brief, long] = ['LONG_ONE', 'LONG_TWO'].map((name) => c.query(`SELECT 1 AS ${name}`, { format: 'json' }));
			const outcome = failureOf(long);
			for (const name of ['LONG_ONE', 'LONG_TWO'])
				await waitFor('the statement', async () => (await emulator.records(name)).length);
			const stopped = own.stop('SIGTERM');
			assert.deepEqual((await brief).structuredContent.rows, [[1]]);
			assertReadable((await outcome).text);
			assert.equal(await stopped, 0);
			await waitFor('the cancel', async () => (await emulator.records('LONG_TWO'))[0].state === 'cancelled');
			await emulator.reset();
			await c.close();
		});

		test('the session is deleted', { skip: !kind.sessions }, async () => {
			const c = await connect(kind, gateway, { key });
			const headers = { Authorization: `Bearer ${key}`, 'Mcp-Session-Id': c.transport.sessionId };
			const deleted = await fetch(gateway.url, { method: 'DELETE', headers });
			assert.ok([200, 204].includes(deleted.status), String(deleted.status));
			assert.match((await failureOf(c.query('SELECT 1'))).text, /session not found.*initialize/);
			assert.equal(c.recorder.last().status, 404);
			const again = await connect(kind, gateway, { key });
			assert.ok(!(await again.query('SELECT 1')).isError);
			await again.transport.terminateSession();
			await again.close();
			await c.close();
		});
	});
}

/** A session lives in memory: after a restart its client is told so, and a new one is served. The modern goes on. */
async function sessionIsGoneOrGoesOn(c, own) {
	if (c.kind.sessions) {
		assert.match((await failureOf(c.query('SELECT 1'))).text, /session not found.*initialize/);
		assert.equal(c.recorder.last().status, 404);
	}
	const again = c.kind.sessions ? await connect(c.kind, own) : c;
	assert.ok(!(await again.query('SELECT 1')).isError);
	if (again !== c)
		await again.close();
}
