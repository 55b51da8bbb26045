// The published JSON schema of each protocol revision, taken from the conformance package, which carries them as object
// literals inside its bundle; and the check of one message against it.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

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
	const here = dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json'));
	const text = readFileSync(join(here, 'dist', 'index.js'), 'utf8');
	const map = text.match(/\{"2025-03-26":([\w$]+),"2025-06-18":([\w$]+),"2025-11-25":([\w$]+),\[[\w$]+\]:([\w$]+)\}/);
	if (!map)
		throw new Error('the conformance package no longer maps revisions to schemas as expected');
	const revisions = ['2025-03-26', '2025-06-18', '2025-11-25', '2026-07-28'];
	return Object.fromEntries(revisions.map((revision, i) => {
		const start = text.indexOf(map[i + 1] + '={$schema:') + map[i + 1].length + 1;
		// JSON again, so that the objects belong to this realm.
		const schema = runInNewContext('JSON.stringify(' + text.slice(start, literalEnd(text, start)) + ')');
		return [revision, JSON.parse(schema)];
	}));
}

const schemas = schemasOfBundle();
const compiled = new Map();

/** {validator(name), methods, results, errors}: the definitions of a revision and how to find the one that counts. */
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
	compiled.set(revision, self);
	return self;
}

const oneOf = (r, ...names) => names.find((n) => n in r.names);

/** [definition, value] pairs that a message must satisfy. `method` is that of the request which it answers. */
function demandsOf(r, message, method) {
	if (message.method !== undefined)
		return [[r.methods.get(message.method) ?? ('id' in message ? 'JSONRPCRequest' : 'JSONRPCNotification'), message]];
	if (message.error !== undefined)
		return [[r.errors.get(message.error.code) ?? oneOf(r, 'JSONRPCErrorResponse', 'JSONRPCError'), message]];
	const demands = [[oneOf(r, 'JSONRPCResultResponse', 'JSONRPCResponse'), message]];
	const result = message.result?.resultType === 'input_required' ? 'InputRequiredResult' : r.results.get(method);
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
