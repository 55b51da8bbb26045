// The MCP Inspector's command line over TLS, through nginx, with a key: one process a question, in both eras.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fronted, held, sleep, stateOf, waitFor } from './front.mjs';

const PROGRAM = join(import.meta.dirname, 'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js');
const IS_ERROR = 5; // its exit status for a tool result with isError
const { emulator, front } = await fronted();
const home = mkdtempSync(join(tmpdir(), 'snowgate-inspector-'));
after(() => rmSync(home, { recursive: true, force: true }));

/** Starts it; {child, done: {status, out, err}}. */
function start(era, ...args) {
	const child = spawn(process.execPath, [PROGRAM, '--cli', '--server-url', front.url, '--transport', 'http', '--header',
		`Authorization: Bearer ${front.key}`, '--format', 'json', '--protocol-era', era, ...args],
	{ env: { ...process.env, HOME: home, NODE_EXTRA_CA_CERTS: front.front.certificate },
		stdio: ['ignore', 'pipe', 'pipe'] });
	const said = { out: '', err: '' };
	child.stdout.on('data', (data) => said.out += data);
	child.stderr.on('data', (data) => said.err += data);
	const done = new Promise((resolve) => child.once('close',
		(code, signal) => resolve({ status: code ?? signal, ...said })));
	return { child, done };
}

async function ask(era, ...args) {
	const { status, out, err } = await start(era, ...args).done;
	assert.equal(status, 0, err + out);
	return JSON.parse(out).result;
}

const query = (sql) => ['--method', 'tools/call', '--tool-name', 'execute_query', '--tool-args-json',
	JSON.stringify({ query: sql, format: 'json' })];

for (const era of ['legacy', 'modern']) {
	describe(`inspector, ${era}`, () => {
		test('lists', async () => {
			const list = async (method, member) => (await ask(era, '--method', method))[member];
			assert.ok((await list('tools/list', 'tools')).some((t) => t.name === 'execute_query'));
			assert.ok((await list('prompts/list', 'prompts')).length > 0);
			assert.ok(Array.isArray(await list('resources/list', 'resources')));
			assert.ok((await list('resources/templates/list', 'resourceTemplates')).length > 0);
		});

		test('calls', async () => {
			assert.deepEqual((await ask(era, ...query('SELECT 7 AS N'))).structuredContent.rows, [[7]]);
		});

		test('reads a resource', async () => {
			const uri = 'snowflake://SNOWFLAKE_SAMPLE_DATA/TPCH_SF1/NATION';
			const { contents } = await ask(era, '--method', 'resources/read', '--uri', uri);
			assert.match(contents[0].text, /N_NAME/);
		});

		test('gets a tool error', async () => {
			const { status, out } = await start(era, ...query('SELECT * FROM NO_SUCH_TABLE')).done;
			assert.equal(status, IS_ERROR);
			assert.match(JSON.parse(out).result.content[0].text, /002003.*NO_SUCH_TABLE/s);
		});

		test('waits for a stream', async () => {
			const { sql } = await held(emulator, 1000);
			assert.deepEqual((await ask(era, ...query(sql))).structuredContent.rows, [[42]]);
		});
	});
}

test('inspector: progress', { skip: 'it prints the result only' });
test('inspector, legacy: cancels', { skip: 'it leaves without a word, which cancels nothing in a session' });
test('inspector, modern: a connection that breaks within a call', { skip: 'this revision cannot resume' });

test('inspector, modern: who goes, cancels', async () => {
	const { name, sql } = await held(emulator, 60_000);
	const { child, done } = start('modern', ...query(sql));
	await waitFor('the statement', async () => (await emulator.records(name)).length);
	child.kill('SIGINT');
	await done;
	await stateOf(emulator, name, 'cancelled');
	assert.equal((await front.metrics())['snowgate_cancels_total{cause="disconnect"}'], 1);
});

test('inspector, legacy: a connection that breaks within a call', async () => {
	const { name, sql } = await held(emulator, 3000);
	const { done } = start('legacy', ...query(sql));
	await waitFor('the stream', async () => (await front.metrics())['snowgate_streams{kind="call"}'] > 0);
	await sleep(200); // the event that can be resumed from is on its way
	await front.cut();
	const { status, out, err } = await done;
	assert.equal(status, 0, err + out);
	assert.deepEqual(JSON.parse(out).result.structuredContent.rows, [[42]]);
	assert.equal((await emulator.records(name))[0].executions, 1);
	assert.ok((await front.metrics())['snowgate_stream_resumes_total{outcome="resumed"}'] > 0);
});
