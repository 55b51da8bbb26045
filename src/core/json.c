/* JSON in within limits, JSON out with the shortest numbers, and raw tokens out of text that has been parsed. */
#include "snowgate/json.h"

#include <stdio.h>
#include <string.h>

enum { TRUSTED_DEPTH_MAX = 512 };

/* Position behind the string whose opening quote is at `at`; the text's end when it has no closing one. */
static size_t skip_string(struct slice text, size_t at)
{
	for (at++; at < text.n; at++) {
		if (text.data[at] == '"')
			return at + 1;
		if (text.data[at] == '\\')
			at++;
	}
	return text.n;
}

/* The library takes a NUL for the end of its input here and there; none is allowed anywhere (RFC 8259, 2). */
static bool has_nul(struct slice text, size_t *at)
{
	const char *nul = text.n ? memchr(text.data, '\0', text.n) : NULL;
	*at = nul ? (size_t)(nul - text.data) : 0;
	return nul != NULL;
}

/* Looks at brackets, commas and quotes only, so that the parser meets neither deep recursion nor a tree that would take
 * many times the memory of its text. Sets *at where a limit is passed. */
static bool is_within(struct slice text, int depth_max, size_t values_max, size_t *at)
{
	int depth = 0;
	size_t values = 1;
	for (size_t i = 0; i < text.n;) {
		char c = text.data[i];
		if (c == '"') {
			i = skip_string(text, i);
			continue;
		}
		if (c == '[' || c == '{')
			depth++;
		else if (c == ']' || c == '}')
			depth--;
		values += c == ',' || c == '[' || c == '{';
		if (depth > depth_max || values > values_max) {
			*at = i;
			return false;
		}
		i++;
	}
	return true;
}

static void say(char *why, size_t why_size, const char *what, size_t at)
{
	if (why && why_size)
		(void)snprintf(why, why_size, "%s at byte %zu", what, at);
}

static enum json_verdict verdict_of(const json_error_t *error)
{
	switch (json_error_code(error)) {
	case json_error_duplicate_key:
		return JSON_DUPLICATE;
	case json_error_stack_overflow:
		return JSON_DEEP;
	case json_error_invalid_utf8:
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return JSON_ENCODING;
	default:
		return JSON_SYNTAX;
	}
}

static const char *text_of(enum json_verdict verdict)
{
	static const char *const texts[] = {
	    [JSON_OK] = "ok",
	    [JSON_SYNTAX] = "not valid JSON",
	    [JSON_DEEP] = "nested too deeply, or too many values,",
	    [JSON_DUPLICATE] = "an object names a member twice",
	    [JSON_ENCODING] = "not UTF-8, or a NUL character,",
	};
	return texts[verdict];
}

static enum json_verdict load(struct slice text, size_t flags, json_t **out, char *why, size_t why_size)
{
	json_error_t error;
	json_t *value = json_loadb(text.data ? text.data : "", text.n, flags | JSON_DECODE_ANY, &error);
	if (value) {
		*out = value;
		return JSON_OK;
	}
	enum json_verdict verdict = verdict_of(&error);
	/* a lone surrogate ("\ud800") is correct syntax for something that no UTF-8 string can carry */
	if (verdict == JSON_SYNTAX && strstr(error.text, "invalid Unicode"))
		verdict = JSON_ENCODING;
	say(why, why_size, text_of(verdict), error.position > 0 ? (size_t)error.position : 0);
	return verdict;
}

enum json_verdict json_parse(struct slice text, int depth_max, json_t **out, char *why, size_t why_size)
{
	size_t at;
	enum json_verdict verdict = has_nul(text, &at) ? JSON_ENCODING : JSON_OK;
	if (verdict == JSON_OK && !is_within(text, depth_max, JSON_VALUES_MAX, &at))
		verdict = JSON_DEEP;
	if (verdict != JSON_OK) {
		say(why, why_size, text_of(verdict), at);
		return verdict;
	}
	return load(text, JSON_REJECT_DUPLICATES, out, why, why_size);
}

enum json_verdict json_parse_trusted(struct slice text, json_t **out)
{
	size_t at;
	if (has_nul(text, &at))
		return JSON_ENCODING;
	if (!is_within(text, TRUSTED_DEPTH_MAX, SIZE_MAX, &at))
		return JSON_DEEP;
	return load(text, JSON_ALLOW_NUL, out, NULL, 0);
}

/* Bytes that stand for themselves within a string, from `at` on. */
static size_t plain_run(const char *text, size_t at, size_t n)
{
	size_t end = at;
	while (end < n) {
		uint8_t c = (uint8_t)text[end];
		if (c < 0x20 || c == '"' || c == '\\')
			break;
		size_t length = c < 0x80 ? 1 : utf8_sequence(text + end, n - end);
		if (!length)
			break;
		end += length;
	}
	return end - at;
}

static bool write_escaped(struct buf *b, uint8_t c)
{
	static const char letters[] = "btn\0fr", digits[] = "0123456789abcdef";
	char letter = c == '"' || c == '\\' ? (char)c : c >= 8 && c <= 13 ? letters[c - 8] : '\0';
	if (letter)
		return buf_add(b, (char[]){'\\', letter}, 2);
	if (c >= 0x80)
		return buf_adds(b, "\xEF\xBF\xBD");
	return buf_add(b, (char[]){'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]}, 6);
}

bool json_write_string(struct buf *b, const char *text, size_t n)
{
	bool ok = buf_addc(b, '"');
	for (size_t at = 0; ok && at < n;) {
		size_t run = plain_run(text, at, n);
		if (run)
			ok = buf_add(b, text + at, run);
		at += run;
		if (ok && at < n)
			ok = write_escaped(b, (uint8_t)text[at++]);
	}
	return ok && buf_addc(b, '"');
}

static bool write_real(struct buf *b, double value)
{
	char text[40];
	for (int digits = 15; digits <= 17; digits++) {
		(void)snprintf(text, sizeof(text), "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	return buf_adds(b, text) && (strpbrk(text, ".e") || buf_adds(b, ".0"));
}

typedef bool write_f(struct buf *, const json_t *);

static bool write_member(struct buf *b, void *at, bool is_first, write_f *write)
{
	return (is_first || buf_addc(b, ',')) &&
	       json_write_string(b, json_object_iter_key(at), json_object_iter_key_len(at)) && buf_addc(b, ':') &&
	       write(b, json_object_iter_value(at));
}

static json_t *mutable(const json_t *object)
{
	return (json_t *)(uintptr_t)object; /* the iteration of jansson takes no const */
}

static bool write_object(struct buf *b, const json_t *object)
{
	json_t *members = mutable(object);
	bool ok = buf_addc(b, '{');
	bool is_first = true;
	for (void *at = json_object_iter(members); ok && at; at = json_object_iter_next(members, at)) {
		ok = write_member(b, at, is_first, json_write);
		is_first = false;
	}
	return ok && buf_addc(b, '}');
}

static bool write_array(struct buf *b, const json_t *array, write_f *write)
{
	bool ok = buf_addc(b, '[');
	for (size_t i = 0; ok && i < json_array_size(array); i++)
		ok = (i == 0 || buf_addc(b, ',')) && write(b, json_array_get(array, i));
	return ok && buf_addc(b, ']');
}

/* Shorter before longer where one begins the other; the order of the characters, since UTF-8 keeps it. */
static int compare_keys(const void *a, const void *b)
{
	void *const *x = a, *const *y = b;
	size_t xn = json_object_iter_key_len(*x), yn = json_object_iter_key_len(*y);
	int order = memcmp(json_object_iter_key(*x), json_object_iter_key(*y), xn < yn ? xn : yn);
	return order ? order : xn < yn ? -1 : xn > yn;
}

static bool write_sorted(struct buf *b, const json_t *object)
{
	json_t *members = mutable(object);
	size_t n = 0;
	void **sorted = xalloc((json_object_size(object) + 1) * sizeof(*sorted));
	for (void *at = json_object_iter(members); at; at = json_object_iter_next(members, at))
		sorted[n++] = at;
	qsort(sorted, n, sizeof(*sorted), compare_keys);
	bool ok = buf_addc(b, '{');
	for (size_t i = 0; ok && i < n; i++)
		ok = write_member(b, sorted[i], i == 0, json_write_canonical);
	free(sorted);
	return ok && buf_addc(b, '}');
}

/* The bounds are -2^63 and 2^63: beyond them the conversion would be undefined. */
static bool write_number(struct buf *b, double value)
{
	if (value >= -9223372036854775808.0 && value < 9223372036854775808.0 && (double)(json_int_t)value == value)
		return buf_addf(b, "%" JSON_INTEGER_FORMAT, (json_int_t)value);
	return write_real(b, value);
}

bool json_write_canonical(struct buf *b, const json_t *value)
{
	assert(value);
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return write_sorted(b, value);
	case JSON_ARRAY:
		return write_array(b, value, json_write_canonical);
	case JSON_REAL:
		return write_number(b, json_real_value(value));
	default:
		return json_write(b, value);
	}
}

bool json_write(struct buf *b, const json_t *value)
{
	assert(value);
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return write_object(b, value);
	case JSON_ARRAY:
		return write_array(b, value, json_write);
	case JSON_STRING:
		return json_write_string(b, json_string_value(value), json_string_length(value));
	case JSON_INTEGER:
		return buf_addf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	case JSON_REAL:
		return write_real(b, json_real_value(value));
	case JSON_TRUE:
		return buf_adds(b, "true");
	case JSON_FALSE:
		return buf_adds(b, "false");
	default:
		return buf_adds(b, "null");
	}
}

/* Raw tokens. The text is known to be valid, so nothing here but the end of the text needs to be checked. */

static size_t skip_space(struct slice text, size_t at)
{
	while (at < text.n &&
	       (text.data[at] == ' ' || text.data[at] == '\t' || text.data[at] == '\n' || text.data[at] == '\r'))
		at++;
	return at;
}

static size_t skip_container(struct slice text, size_t at)
{
	size_t depth = 0;
	do {
		char c = text.data[at];
		if (c == '"') {
			at = skip_string(text, at);
			continue;
		}
		depth += c == '[' || c == '{';
		depth -= c == ']' || c == '}';
		at++;
	} while (depth && at < text.n);
	return at;
}

static size_t skip_value(struct slice text, size_t at)
{
	if (at >= text.n)
		return at;
	char c = text.data[at];
	if (c == '"')
		return skip_string(text, at);
	if (c == '[' || c == '{')
		return skip_container(text, at);
	while (at < text.n && !strchr(",]} \t\n\r", text.data[at]))
		at++;
	return at;
}

static uint32_t hex4(const char *text)
{
	uint32_t value = 0;
	for (int i = 0; i < 4; i++) {
		char c = text[i];
		uint32_t digit = (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
		value = value << 4 | (digit & 15);
	}
	return value;
}

static size_t put_utf8(uint32_t code, char out[4])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--, code >>= 6)
		out[i] = (char)(0x80 | (code & 0x3F));
	static const uint8_t leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
	out[0] = (char)(leads[n] | code);
	return n;
}

/* Decodes the escape at *at (a backslash) and moves behind it. */
static size_t unescape(struct slice token, size_t *at, char out[4])
{
	static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	size_t left = token.n - *at;
	if (left < 2)
		return *at = token.n, 0;
	const char *letter = strchr(letters, token.data[*at + 1]);
	if (letter && *letter) {
		*at += 2;
		out[0] = meanings[letter - letters];
		return 1;
	}
	if (left < 6)
		return *at = token.n, 0;
	uint32_t code = hex4(token.data + *at + 2);
	*at += 6;
	if (code >= 0xD800 && code < 0xDC00 && left >= 12) {
		code = 0x10000 + ((code - 0xD800) << 10) + (hex4(token.data + *at + 2) - 0xDC00);
		*at += 6;
	}
	return put_utf8(code & 0x1FFFFF, out);
}

/* True when the string token, quotes included, means `key`. */
static bool token_is(struct slice token, const char *key)
{
	struct slice inner = {token.data + 1, token.n - 2}, rest = slice_of(key);
	if (!memchr(inner.data, '\\', inner.n))
		return slice_is(inner, key);
	for (size_t at = 0; at < inner.n;) {
		char unit[4] = {inner.data[at]};
		size_t n = 1;
		if (unit[0] == '\\')
			n = unescape(inner, &at, unit);
		else
			at++;
		if (n == 0 || n > rest.n || memcmp(rest.data, unit, n) != 0)
			return false;
		rest = (struct slice){rest.data + n, rest.n - n};
	}
	return rest.n == 0;
}

struct slice json_raw_member(struct slice text, const char *key)
{
	const struct slice absent = {NULL, 0};
	if (!text.data)
		return absent;
	size_t at = skip_space(text, 0);
	if (at >= text.n || text.data[at] != '{')
		return absent;
	at = skip_space(text, at + 1);
	while (at < text.n && text.data[at] == '"') {
		size_t name = at;
		at = skip_string(text, at);
		bool found = at - name >= 2 && token_is((struct slice){text.data + name, at - name}, key);
		at = skip_space(text, skip_space(text, at) + 1); /* the colon */
		size_t value = at;
		at = skip_value(text, at);
		if (found && value < at)
			return (struct slice){text.data + value, at - value};
		at = skip_space(text, skip_space(text, at) + 1); /* the comma, or the end */
	}
	return absent;
}

struct slice json_raw_path(struct slice text, const char *const path[])
{
	for (size_t i = 0; path[i] && text.data; i++)
		text = json_raw_member(text, path[i]);
	return text;
}

const char *json_text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

int64_t json_int_of(const json_t *object, const char *key, int64_t otherwise)
{
	const json_t *value = json_object_get(object, key);
	return json_is_integer(value) ? (int64_t)json_integer_value(value) : otherwise;
}

bool json_bool_of(const json_t *object, const char *key, bool otherwise)
{
	const json_t *value = json_object_get(object, key);
	return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

json_t *json_without(const json_t *object, const char *const *members)
{
	json_t *rest = json_copy((json_t *)object);

	for (; *members; members++)
		json_object_del(rest, *members);
	if (json_object_size(rest))
		return rest;
	json_decref(rest);
	return NULL;
}

void json_release(void *json)
{
	json_decref(json);
}
