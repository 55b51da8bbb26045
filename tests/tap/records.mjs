// The files that tap.c writes, record by record.
import { closeSync, openSync, readSync } from 'node:fs';
import { endianness } from 'node:os';

const HEAD_BYTES = 12;
const CHUNK_BYTES = 1 << 20;

/** Yields {connection, kind, data}. The last record of a killed process may be there in part: it is left out. */
export function* recordsOf(path) {
	const fd = openSync(path);
	const read = endianness() === 'LE' ? 'readUInt32LE' : 'readUInt32BE';
	let rest = Buffer.alloc(0);
	try {
		for (;;) {
			const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
			const n = readSync(fd, chunk);
			if (n === 0)
				return;
			rest = Buffer.concat([rest, chunk.subarray(0, n)]);
			while (rest.length >= HEAD_BYTES && rest.length >= HEAD_BYTES + rest[read](8)) {
				const end = HEAD_BYTES + rest[read](8);
				const data = rest.subarray(HEAD_BYTES, end);
				yield { connection: rest[read](0), kind: String.fromCharCode(rest[read](4)), data };
				rest = rest.subarray(end);
			}
		}
	} finally {
		closeSync(fd);
	}
}
