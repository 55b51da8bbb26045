// What each official client sees of a limit: the refusal's text, its code, its status and when to come again.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect, failureOf, Gateway, KINDS, rig, waitFor } from './lib.mjs';

const { emulator, gateway } = await rig({
	keys: ['single', 'patient'],
	conf: {
		limits: {
			single: { running: 1, queued: 0 },
			patient: { running: 1, queued: 1, queue_wait: '300ms' },
		},
		policies: ['single', 'patient'].map((name) => ({ name, match: { principal: name }, limits: name })),
	},
});

/** A refusal as it went over the wire and as the caller saw it. */
async function refusalOf(c, failure, code) {
	await c.recorder.settled();
	assert.ok(failure?.thrown, 'a refusal is an error of the protocol');
	const exchange = c.recorder.exchanges.find((e) => failure.text.includes(e.messages[0]?.error?.message));
	assert.ok(exchange, 'what went over the wire did not reach the caller: ' + failure.text);
	assert.equal(exchange.status, 429);
	const { error } = exchange.messages[0];
	assert.equal(error.code, code);
	assert.ok(Number(exchange.headers.get('retry-after')) >= 1, 'no Retry-After');
	assert.ok(error.data.retryAfterMs > 0);
	assert.equal(typeof error.data.limit, 'number');
	assert.equal(typeof error.data.remaining, 'number');
	return error;
}

for (const kind of KINDS) {
	describe(kind.name, () => {
		test('the concurrency limit', async () => {
			await emulator.reset();
			await emulator.hold('AS LONG_ONE', 60_000);
			const c = await connect(kind, gateway, { key: gateway.keys.single });
			const abort = new AbortController();
			const long = failureOf(c.query('SELECT 1 AS LONG_ONE', {}, { signal: abort.signal }));
			await waitFor('the statement', async () => (await emulator.records('LONG_ONE')).length);
			const failure = await failureOf(c.query('SELECT 2'));
			const error = await refusalOf(c, failure, 42902);
			assert.equal(error.data.policy, 'running');
			abort.abort();
			await long;
			await waitFor('the slot', async () => (await c.query('SELECT 3').catch(() => null)));
			await c.close();
			assert.deepEqual(await c.recorder.violations(kind.revision), []);
		});

		test('the end of a wait for a slot', async () => {
			await emulator.reset();
			await emulator.hold('AS LONG_TWO', 2000);
			const c = await connect(kind, gateway, { key: gateway.keys.patient });
			const long = c.query('SELECT 1 AS LONG_TWO');
			await waitFor('the statement', async () => (await emulator.records('LONG_TWO')).length);
			const [waiting, refused] = [c.query('SELECT 2'), c.query('SELECT 3')].map(failureOf);
			await refusalOf(c, await refused, 42902);
			await refusalOf(c, await waiting, 42902);
			assert.ok(!(await long).isError);
			await c.close();
			assert.deepEqual(await c.recorder.violations(kind.revision), []);
		});
	});
}

for (const kind of KINDS) {
	test(`${kind.name}: the rate limit`, async () => {
		const limits = { default: { calls_per_minute: 6, burst: 8 } };
		const rated = await Gateway.start({ upstream: emulator.port, conf: { limits } });
		const c = await connect(kind, rated);
		let failure;
		for (let i = 0; i < 20 && !failure; i++)
			failure = await failureOf(c.query('SELECT 1')).catch(() => null);
		const error = await refusalOf(c, failure, 42901);
		assert.equal(error.data.policy, 'calls_per_minute');
		assert.equal(error.data.limit, 6);
		assert.match(error.message, /too many requests/);
		await c.close();
		await rated.stop();
		assert.deepEqual(await c.recorder.violations(kind.revision), []);
	});
}
