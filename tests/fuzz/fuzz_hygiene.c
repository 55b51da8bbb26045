/* Any bytes as a head: one that passes has exactly one meaning, and Host, Origin and X-Forwarded-For decide without
 * harm. Input: "target version" on the first line, then a field on each; the text after a colon is the value. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../src/http/access.h"
#include "../../src/http/hygiene.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static struct slice cut(struct slice *rest, char at)
{
	const char *end = rest->n ? memchr(rest->data, at, rest->n) : NULL;
	struct slice first = {rest->data, end ? (size_t)(end - rest->data) : rest->n};
	size_t past = first.n + (end ? 1 : 0);

	*rest = (struct slice){rest->data + past, rest->n - past};
	return first;
}

static size_t count(const struct head *head, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < head->fields_n; i++)
		n += head->fields[i].name.n == strlen(name) &&
		     strncasecmp(head->fields[i].name.data, name, strlen(name)) == 0;
	return n;
}

static void check_passed(const struct head *head)
{
	struct slice length = head_get(head, "Content-Length");

	must(count(head, "Transfer-Encoding") + count(head, "Content-Length") <= 1);
	must(count(head, "Host") == 1 && count(head, "Authorization") <= 1 && count(head, "Mcp-Session-Id") <= 1);
	must(head->target.n > 0 && head->target.data[0] == '/');
	for (size_t i = 0; i < length.n; i++)
		must(length.data[i] >= '0' && length.data[i] <= '9');
	for (size_t i = 0; i < head->fields_n; i++) {
		must(!memchr(head->fields[i].name.data, ' ', head->fields[i].name.n));
		must(!head->fields[i].value.n || !memchr(head->fields[i].value.data, 0, head->fields[i].value.n));
	}
}

static void check_access(const struct head *head)
{
	static const char *const entries[] = {"a.example:1", "https://b.example", "10.0.0.0/8"};
	static const struct conf conf = {.listen_public_url = "https://c.example/mcp",
					 .listen_allowed_hosts = {3, entries},
					 .listen_allowed_origins = {3, entries},
					 .listen_trusted_proxies = {3, entries}};
	struct site site = site_of("0.0.0.0");
	struct buf b = buf_with_ceiling(1 << 20);
	char out[64];

	(void)host_served(&conf, &site, "192.0.2.1", head_get(head, "Host"));
	if (origin_allowed(&conf, &site, head_get(head, "Origin")))
		must(memmem(head_get(head, "Origin").data, head_get(head, "Origin").n, "://", 3) != NULL);
	client_address(&conf, "10.1.1.1", head_get(head, "X-Forwarded-For"), out);
	must(strlen(out) > 0 && !strpbrk(out, " ,\r\n"));
	if (cors_allowed_headers(&b, head_get(head, "Access-Control-Request-Headers")))
		must(!strpbrk(buf_text(&b), "\r\n\t;:"));
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = {(const char *)data, size};
	struct slice line = cut(&rest, '\n');
	struct head head = {.target = cut(&line, ' '), .version = line};

	while (rest.n > 0 && head.fields_n < HEAD_FIELDS_MAX) {
		struct head_field *field = &head.fields[head.fields_n++];

		line = cut(&rest, '\n');
		field->name = cut(&line, ':');
		field->value = line;
	}
	head.overflow = rest.n > 0;
	if (!hygiene_fault(&head))
		check_passed(&head);
	check_access(&head);
	return 0;
}
