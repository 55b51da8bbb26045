/* URIs of resources: what a URI names, and how a name is written as one. */
#include "tools_internal.h"

#include <string.h>
#include <strings.h>

#define SCHEME "snowflake://"

/* ---- segments ---- */

/* RFC 3986, unreserved. */
static bool is_unreserved(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c));
}

static bool percent_encode(struct buf *b, const char *text)
{
	bool ok = true;

	for (; *text && ok; text++)
		ok = is_unreserved(*text) ? buf_addc(b, *text) : buf_addf(b, "%%%02X", (unsigned char)*text);
	return ok;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL where it is not well encoded. What should have been encoded is taken as it is. */
static const char *percent_decode(struct arena *a, struct slice s)
{
	char *out = arena_alloc(a, s.n + 1), *at = out;

	for (size_t i = 0; out && i < s.n; i++) {
		int high, low;

		if (s.data[i] != '%') {
			*at++ = s.data[i];
			continue;
		}
		if (i + 2 >= s.n)
			return NULL;
		high = hex_value(s.data[i + 1]);
		low = hex_value(s.data[i + 2]);
		if (high < 0 || low < 0 || (high == 0 && low == 0))
			return NULL;
		*at++ = (char)(high << 4 | low);
		i += 2;
	}
	return out;
}

/* ---- names ---- */

static bool is_space(char c)
{
	return c && strchr(" \t\r\n", c);
}

/* Would SQL read this text as another name than itself? */
static bool is_folded(const char *name)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789$";
	size_t n = strlen(name);
	bool lower = strpbrk(name, "abcdefghijklmnopqrstuvwxyz") != NULL;

	return *name == '"' || is_space(*name) || (n && is_space(name[n - 1])) ||
	       (lower && strspn(name, plain) == n && !(*name >= '0' && *name <= '9') && *name != '$');
}

bool segment_write(struct buf *b, const char *name)
{
	return is_folded(name) ? sql_quote_ident(b, name) : buf_adds(b, name);
}

/* What SQL does not read as an identifier is the name itself, so it is quoted to be read. */
const char *segment_name(struct arena *a, const char *segment)
{
	const char *name = sql_ident_fold(a, slice_of(segment));
	struct buf quoted = buf_with_ceiling(8192);

	if (!name) {
		sql_quote_ident(&quoted, segment);
		name = sql_ident_fold(a, buf_slice(&quoted));
	}
	buf_free(&quoted);
	return name;
}

/* ---- URIs ---- */

static struct resource none(const char **why, const char *text)
{
	*why = text;
	return (struct resource){.kind = RESOURCE_NONE};
}

static struct resource parse_object(struct arena *a, const struct policy *policy, const struct slice segment[3],
				    const char **why)
{
	struct resource r = {.kind = RESOURCE_OBJECT, .name = {.n = 3}};

	for (size_t i = 0; i < 3; i++) {
		const char *text = percent_decode(a, segment[i]);

		r.name.part[i] = text ? segment_name(a, text) : NULL;
		if (!r.name.part[i])
			return none(why, "a name in the URI is not well encoded");
	}
	if (!(policy->statements & CLASS_METADATA) || !policy_allows_database(policy, r.name.part[0]))
		return none(why, "no such resource here; resources/list shows what there is");
	return r;
}

struct resource resource_parse(struct arena *a, const struct policy *policy, const char *uri, const char **why)
{
	static const char shape[] = "not a resource of this server; resources/templates/list shows what URIs it has";
	struct slice segment[3];
	const char *at;
	size_t n = 0;

	if (strncasecmp(uri, SCHEME, strlen(SCHEME)) != 0 || strlen(uri) > RESOURCE_URI_MAX || strpbrk(uri, "?#"))
		return none(why, shape);
	at = uri + strlen(SCHEME);
	for (;; n++) {
		size_t length = strcspn(at, "/");

		if (n == ARRAY_LEN(segment) || length == 0)
			return none(why, shape);
		segment[n] = (struct slice){at, length};
		at += length;
		if (*at++ == '\0')
			break;
	}
	if (n == 2)
		return parse_object(a, policy, segment, why);
	if (n == 1 && slice_is_nocase(segment[0], "result")) {
		struct resource r = {.kind = RESOURCE_RESULT, .handle = percent_decode(a, segment[1])};

		return r.handle ? r : none(why, shape);
	}
	return none(why, shape);
}

bool resource_uri_valid(struct arena *a, const struct policy *policy, const char *uri, const char **why)
{
	return resource_parse(a, policy, uri, why).kind != RESOURCE_NONE;
}

const char *resource_uri_canonical(struct arena *a, const char *uri)
{
	static const struct policy anybody = {.statements = CLASS_METADATA};
	struct buf b = buf_with_ceiling(RESOURCE_URI_MAX * 4);
	const char *why, *canonical = NULL;
	struct resource r = resource_parse(a, &anybody, uri, &why);

	if ((r.kind == RESOURCE_OBJECT && resource_uri_of(&b, &r.name)) ||
	    (r.kind == RESOURCE_RESULT && resource_uri_of_result(&b, r.handle)))
		canonical = arena_strdup(a, buf_text(&b));
	buf_free(&b);
	return canonical ? canonical : uri;
}

bool resource_uri_of(struct buf *b, const struct sql_name *name)
{
	struct buf segment = buf_with_ceiling(4096);
	bool ok = name->n == 3 && buf_adds(b, SCHEME);

	for (size_t i = 0; i < name->n && ok; i++) {
		buf_clear(&segment);
		ok = segment_write(&segment, name->part[i]) && (i == 0 || buf_addc(b, '/')) &&
		     percent_encode(b, buf_text(&segment));
	}
	buf_free(&segment);
	return ok;
}

bool resource_uri_of_result(struct buf *b, const char *handle_text)
{
	return buf_adds(b, SCHEME "result/") && percent_encode(b, handle_text);
}
