/* Writes the results of both eras, each as its revision knows it. */
#include <string.h>

#include "internal.h"

#ifndef SNOWGATE_VERSION
#error "SNOWGATE_VERSION comes from the build"
#endif

/* {"name":...,"title":...,"version":...} as the revision knows it. */
static bool server_info_write(struct buf *b, enum revision revision)
{
	buf_adds(b, "{\"name\":\"snowgate\"");
	if (revision >= REVISION_2025_06_18)
		buf_adds(b, ",\"title\":\"snowgate\"");
	return buf_adds(b, ",\"version\":\"" SNOWGATE_VERSION "\"}");
}

/* How long a result may be kept, and by whom: what one principal sees is never for another. */
static bool cache_write(struct buf *b, int64_t ttl_ms)
{
	return buf_addf(b, ",\"ttlMs\":%lld,\"cacheScope\":\"private\"", (long long)(ttl_ms > 0 ? ttl_ms : 0));
}

static bool write_member(struct buf *b, const char *key, const json_t *value)
{
	json_write_string(b, key, strlen(key));
	buf_addc(b, ':');
	return json_write(b, value);
}

/* The tail of a modern result: who answers, and the members of `meta`. */
static bool modern_meta_write(struct buf *b, const json_t *meta)
{
	const char *key;
	json_t *value;

	buf_adds(b, ",\"_meta\":{\"" META_SERVER "\":");
	server_info_write(b, REVISION_2026_07_28);
	json_object_foreach((json_t *)meta, key, value)
	{
		if (strcmp(key, META_SERVER) == 0)
			continue;
		buf_addc(b, ',');
		write_member(b, key, value);
	}
	return buf_addc(b, '}');
}

/* The members of a tool that some revision lacks: known from `since` to `until`. */
static const struct {
	const char *name;
	enum revision since, until;
} gates[] = {
    {"annotations", REVISION_2025_03_26, REVISION_2026_07_28},  {"title", REVISION_2025_06_18, REVISION_2026_07_28},
    {"outputSchema", REVISION_2025_06_18, REVISION_2026_07_28}, {"_meta", REVISION_2025_06_18, REVISION_2026_07_28},
    {"icons", REVISION_2025_11_25, REVISION_2026_07_28},        {"execution", REVISION_2025_11_25, REVISION_2025_11_25},
};

static bool revision_knows(enum revision revision, const char *member)
{
	for (size_t i = 0; i < ARRAY_LEN(gates); i++)
		if (strcmp(gates[i].name, member) == 0)
			return revision >= gates[i].since && revision <= gates[i].until;
	return true;
}

static bool write_tool(struct buf *b, enum revision revision, const json_t *tool)
{
	const char *key, *comma = "";
	json_t *value;

	buf_addc(b, '{');
	json_object_foreach((json_t *)tool, key, value)
	{
		if (!revision_knows(revision, key))
			continue;
		buf_adds(b, comma);
		write_member(b, key, value);
		comma = ",";
	}
	return buf_addc(b, '}');
}

bool tools_list_write(struct buf *b, enum revision revision, const json_t *tools, int64_t ttl_ms)
{
	buf_adds(b, revision_is_modern(revision) ? "{\"resultType\":\"complete\",\"tools\":[" : "{\"tools\":[");
	for (size_t i = 0; i < json_array_size(tools); i++) {
		buf_adds(b, i ? "," : "");
		write_tool(b, revision, json_array_get(tools, i));
	}
	buf_addc(b, ']');
	if (revision_is_modern(revision)) {
		cache_write(b, ttl_ms);
		modern_meta_write(b, NULL);
	}
	return buf_addc(b, '}');
}

static bool write_content(struct buf *b, struct slice text)
{
	buf_adds(b, "\"content\":[");
	if (text.data) {
		buf_adds(b, "{\"type\":\"text\",\"text\":");
		json_write_string(b, text.data, text.n);
		buf_addc(b, '}');
	}
	return buf_addc(b, ']');
}

bool tool_result_write(struct buf *b, enum revision revision, const struct tool_result *r)
{
	buf_adds(b, revision_is_modern(revision) ? "{\"resultType\":\"complete\"," : "{");
	write_content(b, r->text);
	if (r->structured.n && revision >= REVISION_2025_06_18) {
		buf_adds(b, ",\"structuredContent\":");
		buf_add(b, r->structured.data, r->structured.n);
	}
	if (r->is_error)
		buf_adds(b, ",\"isError\":true");
	if (revision_is_modern(revision)) {
		modern_meta_write(b, r->meta);
	} else if (r->meta) {
		buf_addc(b, ',');
		write_member(b, "_meta", r->meta);
	}
	return buf_addc(b, '}');
}

bool empty_result_write(struct buf *b, enum revision revision)
{
	if (!revision_is_modern(revision))
		return buf_adds(b, "{}");
	buf_adds(b, "{\"resultType\":\"complete\"");
	modern_meta_write(b, NULL);
	return buf_addc(b, '}');
}

static bool add_instructions(struct buf *b, const char *instructions)
{
	if (!instructions)
		return !buf_failed(b);
	buf_adds(b, ",\"instructions\":");
	struct slice text = slice_of(instructions);
	return json_write_string(b, text.data, text.n);
}

bool initialize_write(struct buf *b, enum revision revision, const char *instructions)
{
	buf_addf(
	    b, "{\"protocolVersion\":\"%s\",\"capabilities\":{\"tools\":{}},\"serverInfo\":", revision_name(revision));
	server_info_write(b, revision);
	add_instructions(b, instructions);
	return buf_addc(b, '}');
}

bool discover_write(struct buf *b, const char *instructions, int64_t ttl_ms)
{
	buf_addf(b, "{\"resultType\":\"complete\",\"supportedVersions\":[\"%s\"],\"capabilities\":{\"tools\":{}}",
		 revision_name(REVISION_2026_07_28));
	add_instructions(b, instructions);
	cache_write(b, ttl_ms);
	modern_meta_write(b, NULL);
	return buf_addc(b, '}');
}
