// The published JSON schema of each protocol revision, taken from the conformance package, which carries them as object
// literals inside its bundle; and the check of one message against it. The packages are those of this folder or, where they
// are not installed, of tests/conformance, which has the same ones.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';

const SUITES = ['@modelcontextprotocol/conformance', '../conformance/node_modules/conformance']
	.map((path) => join(import.meta.dirname, path.startsWith('@') ? 'node_modules' : '', path));
const suite = SUITES.find((path) => existsSync(path)) ?? SUITES[0];
const require = createRequire(join(suite, 'package.json'));
const { Ajv } = require('ajv');
const { Ajv2020 } = require('ajv/dist/2020.js');
const addFormats = require('ajv-formats').default;

/** The end of the object literal that starts at `at`: brackets counted outside of strings. */
function literalEnd(text, at) {
	let depth = 0;
	for (let i = at, quote = ''; i < text.length; i++) {
		const c = text[i];
		if (quote) {
			if (c === '\\')
				i++;
			else if (c === quote)
				quote = '';
		} else if (c === '`' || c === '"' || c === "'") {
			quote = c;
		} else if (c === '{') {
			depth++;
		} else if (c === '}' && --depth === 0) {
			return i + 1;
		}
	}
	throw new Error('an object literal without end');
}

function schemasOfBundle() {
	const text = readFileSync(join(suite, 'dist', 'index.js'), 'utf8');
	const map = text.match(/\{"2025-03-26":([\w$]+),"2025-06-18":([\w$]+),"2025-11-25":([\w$]+),\[[\w$]+\]:([\w$]+)\}/);
	if (!map)
		throw new Error('the conformance package no longer maps revisions to schemas as expected');
	const revisions = ['2025-03-26', '2025-06-18', '2025-11-25', '2026-07-28'];
	return Object.fromEntries(revisions.map((revision, i) => {
		const start = text.indexOf(map[i + 1] + '={$schema:') + map[i + 1].length + 1;
		// JSON again, so that the objects belong to this realm.
		const schema = runInNewContext('JSON.stringify(' + text.slice(start, literalEnd(text, start)) + ')');
		return [revision, extended(revision, corrected(JSON.parse(schema)))];
	}));
}

const TASK = {
	taskId: { type: 'string', minLength: 16 },
	status: { enum: ['working', 'input_required', 'completed', 'failed', 'cancelled'] },
	statusMessage: { type: 'string' },
	createdAt: { type: 'string', format: 'date-time' },
	lastUpdatedAt: { type: 'string', format: 'date-time' },
	ttlMs: { type: ['integer', 'null'], minimum: 1 },
	pollIntervalMs: { type: 'integer', minimum: 1 },
	_meta: { type: 'object' },
};
const TASK_REQUIRED = ['taskId', 'status', 'createdAt', 'lastUpdatedAt', 'ttlMs'];
const DETAILS = {
	result: { $ref: '#/$defs/CallToolResult' },
	error: { type: 'object', required: ['code', 'message'],
		properties: { code: { type: 'integer' }, message: { type: 'string' } } },
	inputRequests: { $ref: '#/$defs/InputRequests' },
};
/** Where `member` stands: with the status `status` alone, and there always but where `maybe`. */
const only = (status, member, maybe) => ({
	if: { properties: { status: { const: status } } }, then: maybe ? {} : { required: [member] }, else: { not: { required: [member] } },
});
const closed = (properties, required, allOf = [{}]) => ({ type: 'object', properties, required, allOf, additionalProperties: false });
const details = (maybe) => [only('completed', 'result', maybe), only('failed', 'error'), only('input_required', 'inputRequests')];
const request = (method) => ({ type: 'object', properties: { method: { const: method } } });
const complete = { resultType: { const: 'complete' } };

/** With the extension of tasks (SEP-2663), of which the package has no schema. */
function extended(revision, schema) {
	if (revision !== '2026-07-28')
		return schema;
	Object.assign(schema.$defs, {
		CreateTaskResult: closed({ ...TASK, resultType: { const: 'task' } }, ['resultType', ...TASK_REQUIRED]),
		GetTaskRequest: request('tasks/get'),
		GetTaskResult: closed({ ...TASK, ...DETAILS, ...complete }, ['resultType', ...TASK_REQUIRED], details(false)),
		UpdateTaskRequest: request('tasks/update'),
		UpdateTaskResult: closed({ ...complete, _meta: TASK._meta }, ['resultType']),
		CancelTaskRequest: request('tasks/cancel'),
		CancelTaskResult: closed({ ...complete, _meta: TASK._meta }, ['resultType']),
		TaskNotification: {
			type: 'object', required: ['method', 'params'],
			properties: { method: { const: 'notifications/tasks' },
				params: closed({ ...TASK, ...DETAILS }, [...TASK_REQUIRED, '_meta'], details(true)) },
		},
	});
	schema.$defs.ServerNotification.anyOf.push({ $ref: '#/$defs/TaskNotification' });
	return schema;
}

/** The bounds and the default of a number: the source of the schemas says number, and what was generated from it for two
 * revisions said integer until it was corrected (specification repository, pull requests 2710 and 3139). */
function corrected(schema) {
	const { properties = {} } = (schema.$defs ?? schema.definitions).NumberSchema ?? {};
	for (const name of ['minimum', 'maximum', 'default'])
		if (name in properties)
			properties[name] = { ...properties[name], type: 'number' };
	return schema;
}

const schemas = schemasOfBundle();
const compiled = new Map();

/** {validator(name), methods, sent, results, errors}: the definitions of a revision and how to find the one that counts.
 * `sent`: the methods that a server may send. */
function revisionOf(revision) {
	if (compiled.has(revision))
		return compiled.get(revision);
	const schema = schemas[revision];
	const key = schema.$defs ? '$defs' : 'definitions';
	const ajv = new (key === '$defs' ? Ajv2020 : Ajv)({ strict: false, allErrors: true });
	addFormats(ajv);
	ajv.addFormat('byte', true);
	ajv.addSchema({ ...schema, $id: 'mcp:schema' });
	const self = { names: schema[key], methods: new Map(), results: new Map(), errors: new Map() };
	self.validator = (name) => ajv.getSchema(`mcp:schema#/${key}/${name}`);
	for (const [name, definition] of Object.entries(schema[key])) {
		const method = definition.properties?.method?.const;
		if (method)
			self.methods.set(method, name);
		const result = name.replace(/Request$/, 'Result');
		if (method && result !== name && result in schema[key])
			self.results.set(method, result);
		for (const part of definition.properties?.error?.allOf ?? [])
			if (part.properties?.code?.const !== undefined)
				self.errors.set(part.properties.code.const, name);
	}
	self.sent = new Map(['ServerNotification', 'ServerRequest'].flatMap((name) => schema[key][name]?.anyOf ?? [])
		.map(({ $ref }) => $ref.split('/').at(-1)).map((name) => [schema[key][name].properties.method.const, name]));
	compiled.set(revision, self);
	return self;
}

const oneOf = (r, ...names) => names.find((n) => n in r.names);

/** What a result may be instead of the method's own. */
const INSTEAD = { input_required: 'InputRequiredResult', task: 'CreateTaskResult' };

/** [definition, value] pairs that a message must satisfy. `method` is that of the request which it answers. */
function demandsOf(r, message, method) {
	if (message.method !== undefined)
		return [[r.methods.get(message.method) ?? ('id' in message ? 'JSONRPCRequest' : 'JSONRPCNotification'), message]];
	if (message.error !== undefined)
		return [[r.errors.get(message.error.code) ?? oneOf(r, 'JSONRPCErrorResponse', 'JSONRPCError'), message]];
	const demands = [[oneOf(r, 'JSONRPCResultResponse', 'JSONRPCResponse'), message]];
	const result = INSTEAD[message.result?.resultType] ?? r.results.get(method);
	return result ? [...demands, [result, message.result]] : demands;
}

/** What the revision's schema has against the message; empty when nothing. */
export function violationsOf(revision, message, method) {
	const r = revisionOf(revision);
	return demandsOf(r, message, method).flatMap(([name, value]) => {
		const validate = r.validator(name);
		return validate(value) ? [] : validate.errors.map((e) => `${name}${e.instancePath} ${e.message}`);
	});
}

/** Methods whose request may be answered by questions to the client. */
function mayAsk(r, method) {
	return JSON.stringify(r.names[`${r.results.get(method)}Response`] ?? '').includes('/InputRequiredResult"');
}

/** The name of the definition that a message of a server must satisfy, or {refused: why it may not send it at all}. */
function typeOf(r, message, method) {
	if (message.method !== undefined)
		return r.sent.get(message.method) ?? { refused: `a server sends no ${message.method}` };
	if (message.error !== undefined)
		return r.errors.get(message.error.code) ?? oneOf(r, 'JSONRPCErrorResponse', 'JSONRPCError');
	if (!r.methods.has(method))
		return { refused: `a result, and the revision has no method ${method}` };
	if (message.result?.resultType === 'task' && r.names.CreateTaskResult)
		return method === 'tools/call' ? 'CreateTaskResult' : { refused: `${method} is answered with a task` };
	if (message.result?.resultType !== 'input_required' || !r.names.InputRequiredResult)
		return r.results.get(method) ?? 'EmptyResult';
	return mayAsk(r, method) ? 'InputRequiredResult' : { refused: `${method} is answered with input_required` };
}

/** {type, faults}: what the message of a server is, and what the revision has against it as the answer to `method`. */
export function judge(revision, message, method) {
	if (typeof message !== 'object' || message === null || Array.isArray(message))
		return { type: 'no message', faults: ['a message is an object'] };
	const type = typeOf(revisionOf(revision), message, method);
	if (type.refused)
		return { type: 'nothing of the revision', faults: [type.refused] };
	return { type, faults: violationsOf(revision, message, method) };
}
