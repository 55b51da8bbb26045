// A client that was refused, whose call failed, whose stream has ended, or whose session is over, leaves the gateway
// alone: no reconnect loop, no request unasked. What nginx logs, which is every request
// that has ended, and the streams that the gateway has open must stand still.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { Emulator, connect, failureOf, KINDS } from './lib.mjs';
import { Fronted, held, LONG, remote, sleep, stateOf, waitFor } from './front.mjs';

const SETTLE_MS = 5000; // SDK 1.x tries a lost stream again after 1 s, then 1.5 s, and that is all it may
const QUIET_MS = LONG ? 60_000 : 10_000;
const ONE_AT_A_TIME = { snowflake: { retries: 0 },
	limits: { default: { calls_per_minute: 1000000, burst: 100000, running: 1, queued: 10, queue_wait: '1s' } } };

const emulator = await Emulator.start();
after(() => emulator.stop());

/** Failures of every sort, as JSON. */
async function fail(c) {
	await failureOf(c.query('SELECT * FROM NO_SUCH_TABLE'));
	await failureOf(c.query('CALL SYSTEM$WAIT(10)'));
	await failureOf(c.call('nonsense', {}));
	await failureOf(c.request('nonsense/list'));
	await emulator.fault({ status: 500 }, { op: 'submit', sql_contains: 'FAILS_THERE' }, 1);
	await failureOf(c.query('SELECT 1 AS FAILS_THERE'));
}

/** A stream that ends with a result, and one that ends with a JSON-RPC error: the slot is not free in time. */
async function stream(c) {
	const { name, sql } = await held(emulator, 2500);
	const long = c.query(sql, { format: 'json' });
	await waitFor('the statement', async () => (await emulator.records(name)).length);
	const { text } = await failureOf(c.query('SELECT 2'));
	assert.match(text, /42902|at once|running/i);
	assert.deepEqual((await long).structuredContent.rows, [[42]]);
}

/** A call that the client takes back when it is a stream already: there is nothing to resume. */
async function takeBack(c, front) {
	const { name, sql } = await held(emulator, 60_000);
	const abort = new AbortController();
	const outcome = failureOf(c.query(sql, {}, { signal: abort.signal }));
	await waitFor('the statement', async () => (await emulator.records(name)).length);
	if (c.kind.sessions)
		await waitFor('the stream', async () => (await front.metrics())['snowgate_streams{kind="call"}'] === 1);
	abort.abort('enough');
	await outcome;
	await stateOf(emulator, name, 'cancelled');
}

const brief = ({ method, status, last, mcp }) => [method, mcp, status, last && `after ${last}`].filter(Boolean).join(' ');

/** What happened, and that nothing does any more. */
async function assertQuiet(front) {
	await sleep(SETTLE_MS);
	const before = await front.traces();
	await sleep(QUIET_MS);
	const later = await front.traces();
	const unasked = later.requests.slice(before.requests.length).map(brief);
	assert.deepEqual(unasked, [], `after ${before.requests.map(brief).join(', ')}`);
	assert.equal(later.streams, before.streams);
	return before.requests;
}

const CLIENTS = [
	...KINDS.map((kind) => ({ name: kind.name, kind, start: (front) => connect(kind, front, { key: front.key }) })),
	{ name: 'mcp-remote', kind: KINDS[0], start: (front) => remote(KINDS[0], front) },
];

describe('quiet', { concurrency: CLIENTS.length * 2 }, () => {
	for (const { name, kind, start } of CLIENTS) {
		test(`${name}, after failures and ends of streams`, async (t) => {
			const front = await Fronted.start(emulator, ONE_AT_A_TIME);
			t.after(() => front.stop());
			const c = await start(front);
			t.after(() => c.close());
			await fail(c);
			await stream(c);
			await takeBack(c, front);
			const requests = await assertQuiet(front);
			if (kind.sessions) {
				const over = requests.filter((r) => r.status === 204 && r.last);
				t.diagnostic(`${over.length} resumes of what was over, each answered by 204`);
			}
			assert.equal((await front.metrics())['snowgate_streams{kind="call"}'], 0);
			assert.ok(!(await c.query('SELECT 1')).isError);
		});
	}

	for (const kind of KINDS.filter((k) => k.sessions)) {
		test(`${kind.name}, after DELETE`, async (t) => {
			const front = await Fronted.start(emulator, ONE_AT_A_TIME);
			t.after(() => front.stop());
			const c = await connect(kind, front, { key: front.key });
			t.after(() => c.close());
			await waitFor('its own stream', () => front.metric('snowgate_streams'));
			assert.ok(!(await c.query('SELECT 1')).isError);
			await c.transport.terminateSession();
			const requests = await assertQuiet(front);
			assert.equal(await front.metric('snowgate_streams'), 0);
			t.diagnostic(requests.map(brief).join(', '));
		});
	}
});
