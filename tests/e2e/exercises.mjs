// What every client does, whatever lies between it and the gateway: list, call, error, progress, cancel.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { agreed, held, stateOf, table, waitFor } from './front.mjs';
import { failureOf, textOf } from './lib.mjs';

/** Defines the tests; `face` gives the client, connected, and the emulator behind it. */
export function exercise(face) {
	test('lists', async () => {
		const { c } = face();
		const { tools } = await c.client.listTools();
		assert.ok(tools.some((t) => t.name === 'execute_query' && t.inputSchema.type === 'object'));
		const { prompts } = await c.client.listPrompts();
		assert.ok(prompts.length > 0 && prompts.every((p) => p.name && p.description), JSON.stringify(prompts));
		const { resources } = await c.client.listResources();
		assert.ok(Array.isArray(resources));
		const { resourceTemplates } = await c.client.listResourceTemplates();
		const templates = resourceTemplates.map((t) => t.uriTemplate);
		assert.ok(templates.includes('snowflake://{database}/{schema}/{object}'), String(templates));
	});

	test('calls', async () => {
		const { c } = face();
		const json = await c.query('SELECT 7 AS N, \'ä€𝄞\' AS T', { format: 'json' });
		assert.deepEqual(json.structuredContent.rows, [[7, 'ä€𝄞']]);
		const all = await Promise.all(Array.from({ length: 8 }, (_, i) => c.query(`SELECT ${i} AS N`, { format: 'json' })));
		assert.deepEqual(all.map((r) => r.structuredContent.rows), Array.from({ length: 8 }, (_, i) => [[i]]));
	});

	test('gets a prompt and a resource', async () => {
		const { c } = face();
		const { prompts } = await c.client.listPrompts();
		const needed = (p) => Object.fromEntries((p.arguments ?? []).filter((a) => a.required)
			.map((a) => [a.name, 'DEMO']));
		for (const p of prompts) {
			const { messages } = await c.client.getPrompt({ name: p.name, arguments: needed(p) });
			assert.ok(messages.length > 0 && messages.every((m) => m.content.text), p.name);
		}
		const { contents } = await c.client.readResource({ uri: 'snowflake://SNOWFLAKE_SAMPLE_DATA/TPCH_SF1/NATION' });
		assert.match(contents[0].text, /N_NAME/);
	});

	test('gets a tool error', async () => {
		const { text, result } = await failureOf(face().c.query('SELECT * FROM NO_SUCH_TABLE'));
		assert.ok(result, text);
		assert.match(text, /002003.*NO_SUCH_TABLE/s);
	});

	test('gets an error of a stream', async () => {
		const { c, emulator } = face();
		await emulator.hold('NO_SUCH_SLOW_TABLE', 800);
		const { text, result } = await failureOf(c.query('SELECT * FROM NO_SUCH_SLOW_TABLE'));
		assert.ok(result, text);
		assert.match(text, /NO_SUCH_SLOW_TABLE/);
	});

	test('hears of progress', async () => {
		const { c, emulator } = face();
		const { sql } = await held(emulator, 1500);
		const told = [];
		const result = await c.query(sql, { format: 'json' }, { onprogress: (p) => told.push(p) });
		assert.deepEqual(result.structuredContent.rows, [[42]]);
		assert.ok(told.length > 0, 'no progress');
		for (const [i, { progress, message }] of told.entries()) {
			assert.ok(i === 0 || progress > told[i - 1].progress, JSON.stringify(told));
			assert.equal(typeof message, 'string');
		}
	});

	test('cancels', async () => {
		const { c, emulator, cancels } = face();
		const { name, sql } = await held(emulator, 60_000);
		const before = await cancels?.();
		const abort = new AbortController();
		const outcome = failureOf(c.query(sql, {}, { signal: abort.signal }));
		await waitFor('the statement', async () => (await emulator.records(name)).length);
		abort.abort('enough');
		assert.match((await outcome).text, /enough|abort/i);
		await stateOf(emulator, name, 'cancelled');
		if (cancels)
			await waitFor('the metric', async () => await cancels() === before + 1);
		assert.ok(!(await c.query('SELECT 1')).isError);
	});
}

export const ASKED = { capabilities: { elicitation: {} } };

/** The person behind a client; `answerWith` says what they do, and gives the questions that they see. `open` connects the
 * client once it has been prepared by what it is given. */
export async function asked(kind, open) {
	let action, questions;
	const c = await open((client) => client.setRequestHandler(
		kind.name.startsWith('sdk 1') ? ElicitRequestSchema : 'elicitation/create', async ({ params }) => {
			questions.push(params);
			return { action, ...(action === 'accept' ? { content: agreed(params.requestedSchema) } : {}) };
		}));
	const answerWith = (what) => {
		action = what;
		return questions = [];
	};
	return { c, answerWith, table: await table(c) };
}

/** Defines the test of a client that is asked before something is destroyed. `answerWith` says what
 * the person does next, and gives the questions they see. */
export function confirm(face) {
	test('is asked before a table is emptied', async () => {
		const { c, table, answerWith } = await face();
		const count = async () => (await c.query(`SELECT N FROM ${table}`, { format: 'json' })).structuredContent.rowCount;
		const questions = answerWith('decline');
		const { text } = await failureOf(c.query(`DELETE FROM ${table}`));
		assert.match(text, /declin|refus|not confirm/i);
		assert.equal(questions.length, 1);
		assert.match(questions[0].message, /DELETE/i);
		assert.equal(await count(), 1);
		const again = answerWith('accept');
		const done = await c.query(`DELETE FROM ${table}`);
		assert.ok(!done.isError, textOf(done));
		assert.equal(again.length, 1);
		assert.equal(await count(), 0);
	});
}
