// The official TypeScript clients with `snowgate stdio`, the process that they start themselves.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { join } from 'node:path';
import { StdioClientTransport as V1Transport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StdioClientTransport as V2Transport } from '@modelcontextprotocol/client/stdio';
import { ASKED, asked, confirm, exercise } from './exercises.mjs';
import { held, stateOf, waitFor } from './front.mjs';
import { BUILD, Emulator, faceOf, failureOf, Gateway, KINDS, tapEnv } from './lib.mjs';

const emulator = await Emulator.start();
const files = Gateway.written({ upstream: emulator.port, conf: {
	mcp: { stream_after: '200ms' },
	snowflake: { connections: { demo: { database: 'DEMO', schema: 'PUBLIC' } } },
	policies: [{ name: 'all', statements: ['read', 'metadata', 'dml', 'ddl'], confirm: 'ask' }],
} });
after(async () => {
	await files.stop();
	await emulator.stop();
});

const isFirst = (kind) => kind.name.startsWith('sdk 1');

async function start(kind, options, prepare = () => {}) {
	const client = kind.make(options);
	const transport = new (isFirst(kind) ? V1Transport : V2Transport)({
		command: join(BUILD, 'snowgate'), args: ['stdio', '-c', files.file], stderr: 'pipe', env: tapEnv });
	const errors = [], log = [];
	transport.stderr.on('data', (data) => log.push(String(data)));
	client.onerror = (e) => errors.push(e);
	prepare(client);
	await client.connect(transport);
	return { ...faceOf(kind, client), transport, errors, log };
}

async function opened(kind, prepared) {
	const c = await start(kind, ASKED, prepared);
	after(() => c.close());
	return c;
}

function isAlive(pid) {
	try {
		process.kill(pid, 0);
		return true;
	} catch {
		return false;
	}
}

for (const kind of KINDS) {
	describe(kind.name, () => {
		let c;
		before(async () => {
			c = await start(kind);
		});
		after(async () => {
			const { pid } = c.transport;
			await c.close();
			assert.ok(!isAlive(pid));
			assert.deepEqual(c.errors.map(String), []);
		});

		exercise(() => ({ c, emulator }));
		confirm(() => asked(kind, (prepared) => opened(kind, prepared)));

		test('what runs when the client goes is cancelled', async () => {
			const own = await start(kind);
			const { name, sql } = await held(emulator, 60_000);
			const outcome = failureOf(own.query(sql));
			await waitFor('the statement', async () => (await emulator.records(name)).length);
			const { pid } = own.transport;
			await own.close();
			assert.ok((await outcome).thrown);
			await stateOf(emulator, name, 'cancelled').catch((e) => assert.fail(`${e.message}\n${own.log.join('')}`));
			await waitFor('its end', () => !isAlive(pid));
		});
	});
}
