// The official TypeScript clients as they are deployed: over TLS, through nginx, with a key. What breaks on the way is
// resumed where the revision knows how.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ASKED, asked, confirm, exercise } from './exercises.mjs';
import { Fronted, fronted, held, stateOf, watched } from './front.mjs';
import { connect, failureOf, KINDS, prepare } from './lib.mjs';

const { emulator, front } = await fronted();
const CAUSE = { true: 'notification', false: 'disconnect' };

const resumed = () => front.metrics().then((m) => m['snowgate_stream_resumes_total{outcome="resumed"}'] ?? 0);

async function opened(kind, prepared) {
	const c = prepare(kind, front, { key: front.key, options: ASKED });
	prepared(c.client);
	await c.connect();
	return c;
}

for (const kind of KINDS) {
	describe(kind.name, () => {
		let c;
		const cancels = async () => (await front.metrics())[`snowgate_cancels_total{cause="${CAUSE[kind.sessions]}"}`] ?? 0;

		before(async () => {
			c = await connect(kind, front, { key: front.key });
		});
		after(async () => {
			await c.close();
			assert.deepEqual(await c.recorder.violations(kind.revision), []);
		});

		exercise(() => ({ c, emulator, cancels }));
		confirm(async () => {
			const them = await asked(kind, (prepared) => opened(kind, prepared));
			after(() => them.c.close());
			return them;
		});

		test('a connection that breaks within a call', async () => {
			const own = await connect(kind, front, { key: front.key });
			const { name, sql } = await held(emulator, 2500);
			const before = await resumed();
			// Client 2.x does not notice that a stream of this revision has ended: it waits for its own time limit.
			const { call, streaming } = watched(own, sql, kind.sessions ? {} : { timeout: 3000 });
			const outcome = kind.sessions ? call : failureOf(call);
			await streaming;
			await front.cut();
			if (kind.sessions) {
				assert.deepEqual((await outcome).structuredContent.rows, [[42]]);
				assert.ok(await resumed() > before);
				assert.equal((await emulator.records(name)).reduce((n, r) => n + r.executions, 0), 1);
			} else { // this revision cannot resume: who goes, cancels
				assert.ok((await outcome).thrown);
				await stateOf(emulator, name, 'cancelled');
			}
			assert.ok(!(await own.query('SELECT 1')).isError);
			await own.close();
		});

		test('a gateway that closes its streams now and then', { skip: !kind.sessions && 'this revision cannot resume' },
			async () => {
				const own = await Fronted.start(emulator, { mcp: { stream_lifetime: '1s', retry: '200ms' } });
				const c = await connect(kind, own, { key: own.key });
				const { name, sql } = await held(emulator, 3000);
				assert.deepEqual((await c.query(sql, { format: 'json' })).structuredContent.rows, [[42]]);
				assert.equal((await emulator.records(name))[0].executions, 1);
				const resumes = own.front.requests()
					.filter((r) => r.method === 'GET' && r.last && !r.last.startsWith('l.'));
				assert.ok(resumes.length >= 2 && resumes.every((r) => r.status === 200), JSON.stringify(resumes));
				await c.close();
				await own.stop();
			});
	});
}
