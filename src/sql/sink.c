/* Text as JSON strings and as fields of CSV: in runs, since most of it needs no change. */
#include "sink.h"

#include "scan.h"

static void json_escape(struct sink *s, unsigned char c)
{
	static const char letters[] = "btn\0fr", digits[] = "0123456789abcdef";
	char letter = c == '"' || c == '\\' ? (char)c : c >= 8 && c <= 13 ? letters[c - 8] : '\0';

	if (letter)
		sink_add(s, (char[]){'\\', letter}, 2);
	else if (c >= 0x80)
		sink_add(s, "\xEF\xBF\xBD", 3);
	else
		sink_add(s, (char[]){'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]}, 6);
}

void sink_json_inner(struct sink *s, const char *text, size_t n)
{
	const char *end = text + n;

	while (text < end) {
		const char *plain = scan_plain(text, end);

		sink_add(s, text, (size_t)(plain - text));
		if (plain < end)
			json_escape(s, (unsigned char)*plain++);
		text = plain;
	}
}

void sink_json(struct sink *s, const char *text, size_t n)
{
	sink_byte(s, '"');
	sink_json_inner(s, text, n);
	sink_byte(s, '"');
}

bool csv_needs_quotes(const char *text, size_t n)
{
	const char *end = text + n;

	if (n == 0)
		return true;
	for (; end - text >= 8; text += 8)
		if (scan_csv(scan_load(text)))
			return true;
	for (; text < end; text++)
		if (*text == ',' || *text == '"' || *text == '\n' || *text == '\r')
			return true;
	return false;
}

void sink_csv_inner(struct sink *s, const char *text, size_t n)
{
	const char *end = text + n, *quote;

	while (text < end && (quote = memchr(text, '"', (size_t)(end - text)))) {
		sink_add(s, text, (size_t)(quote + 1 - text));
		sink_byte(s, '"');
		text = quote + 1;
	}
	sink_add(s, text, (size_t)(end - text));
}

void sink_csv(struct sink *s, const char *text, size_t n)
{
	if (!csv_needs_quotes(text, n)) {
		sink_add(s, text, n);
		return;
	}
	sink_byte(s, '"');
	sink_csv_inner(s, text, n);
	sink_byte(s, '"');
}
