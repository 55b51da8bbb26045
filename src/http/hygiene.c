/* Judges the head of a request: whatever two parsers could read differently is a fault. */
#include "hygiene.h"

#include <string.h>
#include <strings.h>

/* RFC 9110 5.6.2 */
static bool is_token(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.data[i];
		bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

		if (!alnum && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
			return false;
	}
	return s.n > 0;
}

static bool has_control(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return true;
	}
	return false;
}

bool slice_starts_nocase(struct slice s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s.n >= n && strncasecmp(s.data, prefix, n) == 0;
}

struct slice head_get(const struct head *head, const char *name)
{
	for (size_t i = 0; i < head->fields_n; i++) {
		if (slice_is_nocase(head->fields[i].name, name))
			return slice_trim(head->fields[i].value);
	}
	return (struct slice){NULL, 0};
}

bool head_has_prefix(const struct head *head, const char *prefix)
{
	for (size_t i = 0; i < head->fields_n; i++) {
		if (slice_starts_nocase(head->fields[i].name, prefix))
			return true;
	}
	return false;
}

static size_t count_of(const struct head *head, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < head->fields_n; i++)
		n += slice_is_nocase(head->fields[i].name, name);
	return n;
}

const char *hygiene_target_fault(struct slice target)
{
	if (target.n == 0 || target.data[0] != '/')
		return "the request target must begin with a slash";
	for (size_t i = 0; i < target.n; i++) {
		unsigned char c = (unsigned char)target.data[i];

		if (c <= 0x20 || c >= 0x7f || c == '#')
			return "a character in the request target that does not belong there";
	}
	return NULL;
}

/* Folding makes one name of two in the parser: "Transfer-Encodingchunked". */
static bool is_glued(struct slice name, const char *header)
{
	return name.n > strlen(header) && slice_starts_nocase(name, header);
}

static const char *fields_fault(const struct head *head)
{
	for (size_t i = 0; i < head->fields_n; i++) {
		struct slice name = head->fields[i].name;

		if (!is_token(name))
			return "a header name that is not a token";
		if (has_control(head->fields[i].value))
			return "a control character in a header";
		if (is_glued(name, "Transfer-Encoding") || is_glued(name, "Content-Length"))
			return "a folded header";
	}
	return NULL;
}

/* Content-Length: 1*DIGIT (RFC 9110 8.6), here at most 18 of them, so that it fits an int64_t. */
static bool is_length(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
	}
	return s.n > 0 && s.n <= 18;
}

/* How long is the body? There must be exactly one way to tell (RFC 9112 6). */
static const char *framing_fault(const struct head *head)
{
	size_t encodings = count_of(head, "Transfer-Encoding");
	size_t lengths = count_of(head, "Content-Length");

	if (encodings > 0 && lengths > 0)
		return "both Transfer-Encoding and Content-Length";
	if (encodings > 1)
		return "Transfer-Encoding more than once";
	if (lengths > 1)
		return "Content-Length more than once";
	if (encodings && !slice_is_nocase(head_get(head, "Transfer-Encoding"), "chunked"))
		return "a Transfer-Encoding other than chunked";
	if (encodings && !slice_is(head->version, "HTTP/1.1"))
		return "Transfer-Encoding in HTTP/1.0";
	if (lengths && !is_length(head_get(head, "Content-Length")))
		return "a Content-Length that is not a number";
	return NULL;
}

/* RFC 9112 3.2: exactly one Host, even in HTTP/1.0. */
static const char *host_fault(const struct head *head)
{
	struct slice host = head_get(head, "Host");

	if (count_of(head, "Host") != 1)
		return "there must be exactly one Host header";
	for (size_t i = 0; i < host.n; i++) {
		unsigned char c = (unsigned char)host.data[i];
		bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

		if (!alnum && (c == '\0' || !strchr("-._~:[]", c)))
			return "a Host header that is not a host name";
	}
	return host.n > 0 ? NULL : "an empty Host header";
}

static bool is_singleton(struct slice name)
{
	static const char *const names[] = {"Authorization", "Origin",      "Content-Type",         "Content-Encoding",
					    "Last-Event-ID", "traceparent", "MCP-Protocol-Version", "Expect"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (slice_is_nocase(name, names[i]))
			return true;
	}
	return slice_starts_nocase(name, "Mcp-");
}

static const char *duplicate_fault(const struct head *head)
{
	for (size_t i = 1; i < head->fields_n; i++) {
		struct slice name = head->fields[i].name;

		if (!is_singleton(name))
			continue;
		for (size_t k = 0; k < i; k++) {
			struct slice other = head->fields[k].name;

			if (other.n == name.n && strncasecmp(other.data, name.data, name.n) == 0)
				return "a header that may be given only once was given twice";
		}
	}
	return NULL;
}

const char *hygiene_fault(const struct head *head)
{
	const char *fault;

	if (!slice_is(head->version, "HTTP/1.1") && !slice_is(head->version, "HTTP/1.0"))
		return "an HTTP version other than 1.0 and 1.1";
	if (head->overflow)
		return "more than 100 headers";
	if ((fault = hygiene_target_fault(head->target)) || (fault = fields_fault(head)) ||
	    (fault = framing_fault(head)) || (fault = host_fault(head)) || (fault = duplicate_fault(head)))
		return fault;
	if (head->raw_size != head->seen_size)
		return "a NUL, a bare line feed or a folded line in the head";
	return NULL;
}
