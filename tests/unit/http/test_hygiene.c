/* The verdict on a head, row by row: what two parsers could read differently is a fault (RFC 9110, RFC 9112). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../../../src/http/hygiene.h"

#define MAX_FIELDS 6
struct row {
	const char *what;
	const char *fields[MAX_FIELDS]; /* "Name: value", beside the Host that each has */
	const char *fault;              /* part of the text; NULL: passes */
};

static struct head head_with(const char *target, const char *version)
{
	struct head head = {.target = slice_of(target), .version = slice_of(version)};

	return head;
}

static void add(struct head *head, const char *field)
{
	const char *colon = strchr(field, ':');

	assert_non_null(colon);
	head->fields[head->fields_n++] = (struct head_field){{field, (size_t)(colon - field)}, slice_of(colon + 1)};
}

static void expect(const char *what, const char *fault, const char *want)
{
	if (!want && fault)
		fail_msg("%s: refused: %s", what, fault);
	if (want && (!fault || !strstr(fault, want)))
		fail_msg("%s: \"%s\" instead of \"%s\"", what, fault ? fault : "passed", want);
}

static const struct row field_rows[] = {
    {"nothing but Host", {NULL}, NULL},
    {"a length", {"Content-Length: 5"}, NULL},
    {"length zero", {"Content-Length:0"}, NULL},
    {"chunked", {"Transfer-Encoding: chunked"}, NULL},
    {"chunked, spelled otherwise", {"transfer-ENCODING: \tChunked "}, NULL},
    {"text beyond ASCII", {"X: \xc3\xa9\xff"}, NULL},
    {"a tab", {"X: a\tb"}, NULL},
    {"list headers may repeat", {"Accept: a", "Accept: b", "tracestate: a=b", "tracestate: c=d", "Cookie: a"}, NULL},

    {"both ways to tell the length", {"Transfer-Encoding: chunked", "Content-Length: 6"}, "both"},
    {"in the other order", {"Content-Length: 6", "transfer-encoding: chunked"}, "both"},
    {"two lengths", {"Content-Length: 5", "Content-Length: 0"}, "more than once"},
    {"two equal lengths", {"Content-Length: 5", "content-length: 5"}, "more than once"},
    {"two encodings", {"Transfer-Encoding: chunked", "Transfer-Encoding: chunked"}, "more than once"},
    {"a list of encodings", {"Transfer-Encoding: gzip, chunked"}, "other than chunked"},
    {"an unknown encoding", {"Transfer-Encoding: xchunked"}, "other than chunked"},
    {"identity", {"Transfer-Encoding: identity"}, "other than chunked"},
    {"an empty encoding", {"Transfer-Encoding:"}, "other than chunked"},
    {"a vertical tab", {"Transfer-Encoding: \vchunked"}, "control"},
    {"a signed length", {"Content-Length: +5"}, "not a number"},
    {"a negative length", {"Content-Length: -1"}, "not a number"},
    {"a length twice in one", {"Content-Length: 5, 5"}, "not a number"},
    {"a hexadecimal length", {"Content-Length: 0x5"}, "not a number"},
    {"no digits", {"Content-Length:"}, "not a number"},
    {"a length with space", {"Content-Length: 5 5"}, "not a number"},
    {"19 digits", {"Content-Length: 9999999999999999999"}, "not a number"},
    {"a space before the colon", {"Content-Length : 5"}, "not a token"},
    {"an empty name", {": 5"}, "not a token"},
    {"a name in parentheses", {"X(Y): 5"}, "not a token"},
    {"a name beyond ASCII", {"\xc3\xa9: 5"}, "not a token"},
    {"names glued by folding", {"Transfer-Encodingchunked:"}, "folded"},
    {"glued length", {"Content-Length5:"}, "folded"},
    {"a control character", {"X: a\x01"}, "control"},
    {"a bare CR", {"X: a\rb"}, "control"},
    {"a line feed", {"X: a\nb"}, "control"},
    {"DEL", {"X: a\x7f"}, "control"},
    {"a second Host", {"Host: localhost"}, "exactly one Host"},
    {"Authorization twice", {"Authorization: a", "authorization: a"}, "only once"},
    {"Origin twice", {"Origin: a", "X: y", "Origin: a"}, "only once"},
    {"Content-Type twice", {"Content-Type: a", "Content-Type: b"}, "only once"},
    {"Content-Encoding twice", {"Content-Encoding: a", "Content-Encoding: b"}, "only once"},
    {"a session twice", {"Mcp-Session-Id: a", "MCP-SESSION-ID: b"}, "only once"},
    {"a version twice", {"MCP-Protocol-Version: a", "Mcp-Protocol-Version: a"}, "only once"},
    {"a parameter twice", {"Mcp-Param-A: a", "mcp-param-a: a"}, "only once"},
    {"two parameters", {"Mcp-Param-A: a", "Mcp-Param-B: a"}, NULL},
    {"Last-Event-ID twice", {"Last-Event-ID: 1", "Last-Event-ID: 2"}, "only once"},
    {"traceparent twice", {"traceparent: 1", "traceparent: 2"}, "only once"},
};

static void fields_are_judged(void **state)
{

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(field_rows); i++) {
		struct head head = head_with("/mcp", "HTTP/1.1");

		add(&head, "Host: localhost:8080");
		for (size_t k = 0; k < MAX_FIELDS && field_rows[i].fields[k]; k++)
			add(&head, field_rows[i].fields[k]);
		expect(field_rows[i].what, hygiene_fault(&head), field_rows[i].fault);
	}
}

static void a_nul_is_a_control_character(void **state)
{
	struct head head = head_with("/mcp", "HTTP/1.1");

	(void)state;
	add(&head, "Host: localhost");
	head.fields[head.fields_n++] = (struct head_field){SLICE("X"), SLICE("a\0b")};
	expect("value", hygiene_fault(&head), "control");
	head.fields[1] = (struct head_field){SLICE("X\0Y"), SLICE("ab")};
	expect("name", hygiene_fault(&head), "not a token");
	head.fields[1] = (struct head_field){SLICE("X"), SLICE("ab")};
	head.fields[0].value = SLICE("local\0host");
	expect("host", hygiene_fault(&head), "control");
}

static void hosts_are_judged(void **state)
{
	static const struct {
		const char *value, *fault;
	} rows[] = {
	    {"localhost", NULL},
	    {"a.example:443", NULL},
	    {"[::1]:80", NULL},
	    {"x_y.example", NULL},
	    {"", "empty"},
	    {"  ", "empty"},
	    {"a, b", "not a host name"},
	    {"user@a", "not a host name"},
	    {"a/b", "not a host name"},
	    {"a b", "not a host name"},
	    {"\xc3\xa9", "not a host name"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct head head = head_with("/mcp", "HTTP/1.1");

		head.fields[head.fields_n++] = (struct head_field){SLICE("Host"), slice_of(rows[i].value)};
		expect(rows[i].value, hygiene_fault(&head), rows[i].fault);
	}
	struct head none = head_with("/mcp", "HTTP/1.0");
	expect("no Host, even in 1.0", hygiene_fault(&none), "exactly one Host");
}

static void targets_and_versions_are_judged(void **state)
{
	static const struct {
		const char *target, *version, *fault;
	} rows[] = {
	    {"/", "HTTP/1.1", NULL},
	    {"/mcp?a=%00&b", "HTTP/1.0", NULL},
	    {"", "HTTP/1.1", "slash"},
	    {"mcp", "HTTP/1.1", "slash"},
	    {"*", "HTTP/1.1", "slash"},
	    {"http://localhost/mcp", "HTTP/1.1", "slash"},
	    {"/a b", "HTTP/1.1", "character"},
	    {"/a\tb", "HTTP/1.1", "character"},
	    {"/a\x7f", "HTTP/1.1", "character"},
	    {"/\xc3\xa9", "HTTP/1.1", "character"},
	    {"/a#b", "HTTP/1.1", "character"},
	    {"/", "HTTP/1.2", "version"},
	    {"/", "HTTP/2.0", "version"},
	    {"/", "HTTP/0.9", "version"},
	    {"/", "http/1.1", "version"},
	    {"/", "HTTP/1.10", "version"},
	    {"/", "", "version"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct head head = head_with(rows[i].target, rows[i].version);

		add(&head, "Host: localhost");
		expect(rows[i].target, hygiene_fault(&head), rows[i].fault);
	}
	expect("a NUL", hygiene_target_fault(SLICE("/a\0b")), "character");
}

static void chunked_needs_http_1_1(void **state)
{
	struct head head = head_with("/mcp", "HTTP/1.0");

	(void)state;
	add(&head, "Host: localhost");
	add(&head, "Transfer-Encoding: chunked");
	expect("1.0", hygiene_fault(&head), "HTTP/1.0");
}

/* What the parser dropped shows only in the sizes. */
static void hidden_bytes_show_in_the_size(void **state)
{
	struct head head = head_with("/mcp", "HTTP/1.1");

	(void)state;
	add(&head, "Host: localhost");
	head.raw_size = head.seen_size = 40;
	expect("equal", hygiene_fault(&head), NULL);
	head.raw_size = 41;
	expect("more came", hygiene_fault(&head), "NUL");
	head.raw_size = 39;
	expect("less came: a bare line feed", hygiene_fault(&head), "NUL");
}

static void the_number_of_headers_is_limited(void **state)
{
	struct head head = head_with("/mcp", "HTTP/1.1");

	(void)state;
	add(&head, "Host: localhost");
	while (head.fields_n < HEAD_FIELDS_MAX)
		add(&head, "Accept: a");
	expect("100", hygiene_fault(&head), NULL);
	head.overflow = true;
	expect("101", hygiene_fault(&head), "more than 100");
}

static void fields_are_found_by_name(void **state)
{
	struct head head = head_with("/mcp", "HTTP/1.1");

	(void)state;
	add(&head, "X-Forwarded-For: \t1.2.3.4 ");
	assert_true(slice_is(head_get(&head, "x-forwarded-for"), "1.2.3.4"));
	assert_null(head_get(&head, "X-Forwarded").data);
	assert_true(head_has_prefix(&head, "x-forwarded-"));
	assert_false(head_has_prefix(&head, "X-Forwarded-For2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fields_are_judged),
	    cmocka_unit_test(a_nul_is_a_control_character),
	    cmocka_unit_test(hosts_are_judged),
	    cmocka_unit_test(targets_and_versions_are_judged),
	    cmocka_unit_test(chunked_needs_http_1_1),
	    cmocka_unit_test(hidden_bytes_show_in_the_size),
	    cmocka_unit_test(the_number_of_headers_is_limited),
	    cmocka_unit_test(fields_are_found_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
