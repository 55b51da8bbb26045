// Counts o200k tokens: a JSON array of texts on standard input, an array of numbers on standard output.
import { text } from 'node:stream/consumers';
import { getEncoding } from 'js-tiktoken';

const o200k = getEncoding('o200k_base');
console.log(JSON.stringify(JSON.parse(await text(process.stdin)).map((t) => o200k.encode(t, [], []).length)));
