// Reads one direction of an HTTP/1.1 connection as it was recorded, however the bytes were cut: heads, bodies with a length or
// in chunks, one message after the other. What follows bytes that are no HTTP is not read.
const CRLF = Buffer.from('\r\n');
const END_OF_HEAD = Buffer.from('\r\n\r\n');
const NOTHING = Buffer.alloc(0);

/** Bytes to wait with, apart from the large buffer that they came in. */
const kept = (rest) => (rest.length ? Buffer.from(rest) : NOTHING);

function headOf(text) {
	const [first, ...lines] = text.split('\r\n');
	const headers = new Map();
	for (const line of lines) {
		const at = line.indexOf(':');
		const name = line.slice(0, at).trim().toLowerCase();
		if (!headers.has(name))
			headers.set(name, line.slice(at + 1).trim());
	}
	return { first: first.split(' '), headers };
}

/** How the body of a message with these headers ends: {mode, left}. */
function framingOf(headers, isAnswer, bodiless) {
	const length = headers.get('content-length');
	if (bodiless)
		return { mode: 'end' };
	if (/\bchunked$/i.test(headers.get('transfer-encoding') ?? ''))
		return { mode: 'size' };
	if (length !== undefined)
		return /^\d+$/.test(length) ? { mode: 'data', left: Number(length) } : { mode: 'lost' };
	return isAnswer ? { mode: 'data', left: Infinity } : { mode: 'end' };
}

export class HttpReader {
	/** `on`: head({first, headers}), which may return true where no body follows; data(piece); end(). */
	constructor(isAnswer, on) {
		Object.assign(this, { isAnswer, on, mode: 'head', rest: NOTHING, left: 0, chunked: false });
	}

	push(piece) {
		this.rest = this.rest.length ? Buffer.concat([this.rest, piece]) : piece;
		while (this.step())
			;
		this.rest = kept(this.mode === 'lost' ? NOTHING : this.rest);
	}

	/** The connection is over; only a body without a length ends well by that. */
	close() {
		if (this.mode === 'data' && this.left === Infinity)
			this.on.end();
		this.mode = 'lost';
	}

	/** Whether there may be more to do. */
	step() {
		switch (this.mode) {
		case 'head': return this.head();
		case 'data': return this.data();
		case 'size': return this.size();
		case 'trailer': return this.trailer();
		case 'end':
			this.mode = 'head';
			this.on.end();
			return true;
		default: return false;
		}
	}

	/** The text before the next `mark`; undefined where it has not come yet. */
	until(mark) {
		const at = this.rest.indexOf(mark);
		if (at < 0)
			return undefined;
		const text = this.rest.toString('latin1', 0, at);
		this.rest = this.rest.subarray(at + mark.length);
		return text;
	}

	head() {
		while (this.rest[0] === 13 || this.rest[0] === 10) // empty lines before a head are allowed
			this.rest = this.rest.subarray(1);
		const text = this.until(END_OF_HEAD);
		if (text === undefined)
			return false;
		const head = headOf(text);
		const bodiless = this.on.head(head);
		Object.assign(this, framingOf(head.headers, this.isAnswer, bodiless));
		this.chunked = this.mode === 'size';
		return true;
	}

	data() {
		const n = Math.min(this.left, this.rest.length);
		if (n > 0)
			this.on.data(this.rest.subarray(0, n));
		this.rest = this.rest.subarray(n);
		this.left -= n;
		if (this.left > 0)
			return false;
		this.mode = this.chunked ? 'size' : 'end';
		return true;
	}

	/** The line that tells a chunk's size, after the line end of the chunk before. */
	size() {
		if (this.rest.length < 3)
			return false;
		if (this.rest.subarray(0, 2).equals(CRLF))
			this.rest = this.rest.subarray(2);
		const line = this.until(CRLF);
		if (line === undefined)
			return false;
		const size = /^[0-9a-f]+/i.exec(line);
		this.left = size ? parseInt(size[0], 16) : 0;
		this.mode = !size ? 'lost' : this.left ? 'data' : 'trailer';
		return true;
	}

	trailer() {
		const line = this.until(CRLF);
		if (line === '')
			this.mode = 'end';
		return line !== undefined;
	}
}

/** The data of each event of an event stream, as they come. */
export class EventReader {
	constructor(on) {
		Object.assign(this, { on, rest: NOTHING, lines: [] });
	}

	push(piece) {
		this.rest = this.rest.length ? Buffer.concat([this.rest, piece]) : piece;
		for (let at; (at = this.rest.indexOf(10)) >= 0; this.rest = this.rest.subarray(at + 1))
			this.line(this.rest.toString('utf8', 0, at).replace(/\r$/, ''));
		this.rest = kept(this.rest);
	}

	line(text) {
		if (text.startsWith('data:'))
			this.lines.push(text.slice(text[5] === ' ' ? 6 : 5));
		if (text !== '')
			return;
		const data = this.lines.join('\n');
		this.lines = [];
		if (data)
			this.on(data);
	}
}
