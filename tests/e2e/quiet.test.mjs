// A client that was refused, or whose call failed, leaves the gateway alone: no reconnect loop, no request unasked.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect, failureOf, KINDS, rig, sleep, waitFor } from './lib.mjs';

const QUIET_MS = 4000; // SDK 1.x tries a lost stream again after 1 s, then 1.5 s
const { emulator, gateway } = await rig({ conf: { snowflake: { retries: 0 } } });

for (const kind of KINDS) {
	describe(kind.name, () => {
		test('stays quiet after failed calls', async () => {
			const c = await connect(kind, gateway);
			if (kind.sessions) {
				const get = await waitFor('the stream\'s refusal',
					() => c.recorder.exchanges.find((e) => e.method === 'GET' && e.status));
				assert.equal(get.status, 405);
				assert.match(get.headers.get('allow'), /POST/);
			}
			await failureOf(c.query('SELECT * FROM NO_SUCH_TABLE'));
			await failureOf(c.query('DROP TABLE NATION'));
			await failureOf(c.call('nonsense', {}));
			await failureOf(c.request('nonsense/list'));
			await emulator.fault({ status: 500 }, { op: 'submit' }, 1);
			await failureOf(c.query('SELECT 1'));
			const before = c.recorder.exchanges.length;
			await sleep(QUIET_MS);
			assert.equal(c.recorder.exchanges.length, before, 'requests that nobody asked for');
			assert.equal(c.recorder.exchanges.filter((e) => e.method === 'GET').length, kind.sessions ? 1 : 0);
			assert.deepEqual(c.errors.filter((e) => !e.message.includes('Error POSTing')), []);
			assert.ok(!(await c.query('SELECT 1')).isError);
			await c.close();
		});
	});
}
