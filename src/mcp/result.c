/* Writes the results of both eras, each as its revision knows it. */
#include <string.h>

#include "internal.h"

#ifndef SNOWGATE_VERSION
#error "SNOWGATE_VERSION comes from the build"
#endif

/* completion.values, schema of every revision. */
#define COMPLETIONS_MAX 100

/* ---- what all results have in common ---- */

/* {"name":...,"title":...,"version":...} as the revision knows it. */
static bool server_info_write(struct buf *b, enum revision revision)
{
	buf_adds(b, "{\"name\":\"snowgate\"");
	if (revision >= REVISION_2025_06_18)
		buf_adds(b, ",\"title\":\"snowgate\"");
	return buf_adds(b, ",\"version\":\"" SNOWGATE_VERSION "\"}");
}

bool member_write(struct buf *b, const char *key, const json_t *value)
{
	json_write_string(b, key, strlen(key));
	buf_addc(b, ':');
	return json_write(b, value);
}

bool member_write_text(struct buf *b, const char *key, const char *text)
{
	buf_addf(b, "\"%s\":", key);
	return json_write_string(b, text, strlen(text));
}

bool result_open(struct buf *b, enum revision revision)
{
	return buf_adds(b, revision_is_modern(revision) ? "{\"resultType\":\"complete\"," : "{");
}

bool meta_open(struct buf *b)
{
	buf_adds(b, "\"_meta\":{\"" META_SERVER "\":");
	return server_info_write(b, REVISION_2026_07_28);
}

bool result_close(struct buf *b, enum revision revision, const json_t *meta)
{
	const char *key;
	json_t *value;

	if (!revision_is_modern(revision)) {
		if (meta) {
			buf_addc(b, ',');
			member_write(b, "_meta", meta);
		}
		return buf_addc(b, '}');
	}
	buf_addc(b, ',');
	meta_open(b);
	json_object_foreach((json_t *)meta, key, value)
	{
		if (strcmp(key, META_SERVER) == 0)
			continue;
		buf_addc(b, ',');
		member_write(b, key, value);
	}
	return buf_adds(b, "}}");
}

/* How long a result may be kept, and by whom: what one principal sees is never for another. */
static bool cache_write(struct buf *b, int64_t ttl_ms)
{
	return buf_addf(b, ",\"ttlMs\":%lld,\"cacheScope\":\"private\"", (long long)(ttl_ms > 0 ? ttl_ms : 0));
}

bool result_close_cached(struct buf *b, enum revision revision, int64_t ttl_ms)
{
	if (revision_is_modern(revision))
		cache_write(b, ttl_ms);
	return result_close(b, revision, NULL);
}

bool empty_result_write(struct buf *b, enum revision revision)
{
	if (!revision_is_modern(revision))
		return buf_adds(b, "{}");
	buf_adds(b, "{\"resultType\":\"complete\"");
	return result_close(b, revision, NULL);
}

/* ---- tools/call, prompts/get, completion/complete ---- */

static bool content_write(struct buf *b, struct slice text)
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
	result_open(b, revision);
	content_write(b, r->text);
	if (r->structured.n && revision >= REVISION_2025_06_18) {
		buf_adds(b, ",\"structuredContent\":");
		buf_add(b, r->structured.data, r->structured.n);
	}
	if (r->is_error)
		buf_adds(b, ",\"isError\":true");
	return result_close(b, revision, r->meta);
}

bool prompt_result_write(struct buf *b, enum revision revision, const char *description, const json_t *messages)
{
	result_open(b, revision);
	if (description) {
		member_write_text(b, "description", description);
		buf_addc(b, ',');
	}
	member_write(b, "messages", messages);
	return result_close(b, revision, NULL);
}

bool completion_write(struct buf *b, enum revision revision, const json_t *values, int64_t total, bool more)
{
	size_t n = json_array_size(values), shown = n < COMPLETIONS_MAX ? n : COMPLETIONS_MAX;

	result_open(b, revision);
	buf_adds(b, "\"completion\":{\"values\":[");
	for (size_t i = 0; i < shown; i++) {
		buf_adds(b, i ? "," : "");
		json_write(b, json_array_get(values, i));
	}
	buf_addc(b, ']');
	if (total >= 0)
		buf_addf(b, ",\"total\":%lld", (long long)total);
	buf_addf(b, ",\"hasMore\":%s}", more || shown < n ? "true" : "false");
	return result_close(b, revision, NULL);
}

/* ---- initialize and server/discover ---- */

static bool capabilities_write(struct buf *b, enum revision revision)
{
	buf_adds(b, "\"capabilities\":{\"tools\":{\"listChanged\":true},\"prompts\":{\"listChanged\":true},"
		    "\"resources\":{\"subscribe\":true,\"listChanged\":true},\"logging\":{}");
	if (revision >= REVISION_2025_03_26)
		buf_adds(b, ",\"completions\":{}");
	if (revision_is_modern(revision))
		buf_adds(b, ",\"extensions\":{\"" TASKS_EXTENSION "\":{}}");
	return buf_addc(b, '}');
}

static bool instructions_write(struct buf *b, const char *instructions)
{
	if (!instructions)
		return !buf_failed(b);
	buf_addc(b, ',');
	return member_write_text(b, "instructions", instructions);
}

bool initialize_write(struct buf *b, enum revision revision, const char *instructions)
{
	buf_addf(b, "{\"protocolVersion\":\"%s\",", revision_name(revision));
	capabilities_write(b, revision);
	buf_adds(b, ",\"serverInfo\":");
	server_info_write(b, revision);
	instructions_write(b, instructions);
	return buf_addc(b, '}');
}

bool discover_write(struct buf *b, const char *instructions, int64_t ttl_ms)
{
	const enum revision revision = REVISION_2026_07_28;
	result_open(b, revision);
	buf_addf(b, "\"supportedVersions\":[\"%s\"],", revision_name(revision));
	capabilities_write(b, revision);
	instructions_write(b, instructions);
	return result_close_cached(b, revision, ttl_ms);
}
