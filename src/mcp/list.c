/* Writes pages of lists and the contents of resources without the members that a revision does not know. */
#include <string.h>

#include "internal.h"

/* Which object a member stands in; bits. */
enum place {
	IN_TOOL = 1 << 0,
	IN_ITEM = 1 << 1, /* a resource, a template or a prompt */
	IN_ARGUMENT = 1 << 2,
	IN_ANNOTATIONS = 1 << 3, /* of a resource; those of tools came with their members */
	IN_CONTENT = 1 << 4
};

/* The members that some revision lacks: known from `since` to `until`. */
static const struct {
	const char *name;
	unsigned places;
	enum revision since, until;
} gates[] = {
    {"annotations", IN_TOOL, REVISION_2025_03_26, REVISION_2026_07_28},
    {"title", IN_TOOL | IN_ITEM | IN_ARGUMENT, REVISION_2025_06_18, REVISION_2026_07_28},
    {"outputSchema", IN_TOOL, REVISION_2025_06_18, REVISION_2026_07_28},
    {"_meta", IN_TOOL | IN_ITEM | IN_CONTENT, REVISION_2025_06_18, REVISION_2026_07_28},
    {"lastModified", IN_ANNOTATIONS, REVISION_2025_06_18, REVISION_2026_07_28},
    {"icons", IN_TOOL | IN_ITEM, REVISION_2025_11_25, REVISION_2026_07_28},
    {"execution", IN_TOOL, REVISION_2025_11_25, REVISION_2025_11_25},
};

static bool is_known(enum revision revision, enum place place, const char *member)
{
	for (size_t i = 0; i < ARRAY_LEN(gates); i++)
		if ((gates[i].places & place) && strcmp(gates[i].name, member) == 0)
			return revision >= gates[i].since && revision <= gates[i].until;
	return true;
}

static bool write_object(struct buf *b, enum revision revision, enum place place, const json_t *object);

static bool write_array(struct buf *b, enum revision revision, enum place place, const json_t *array)
{
	buf_addc(b, '[');
	for (size_t i = 0; i < json_array_size(array); i++) {
		buf_adds(b, i ? "," : "");
		write_object(b, revision, place, json_array_get(array, i));
	}
	return buf_addc(b, ']');
}

/* The value of an item's member: two of them have members of their own that not every revision knows. */
static bool write_value(struct buf *b, enum revision revision, enum place place, const char *key, const json_t *value)
{
	if (place == IN_ITEM && strcmp(key, "arguments") == 0)
		return write_array(b, revision, IN_ARGUMENT, value);
	if (place == IN_ITEM && strcmp(key, "annotations") == 0)
		return write_object(b, revision, IN_ANNOTATIONS, value);
	return json_write(b, value);
}

static bool write_object(struct buf *b, enum revision revision, enum place place, const json_t *object)
{
	const char *key, *comma = "";
	json_t *value;

	buf_addc(b, '{');
	json_object_foreach((json_t *)object, key, value)
	{
		if (!is_known(revision, place, key))
			continue;
		buf_adds(b, comma);
		json_write_string(b, key, strlen(key));
		buf_addc(b, ':');
		write_value(b, revision, place, key, value);
		comma = ",";
	}
	return buf_addc(b, '}');
}

static const char *member_of(enum method_id list)
{
	switch (list) {
	case MCP_TOOLS_LIST:
		return "tools";
	case MCP_PROMPTS_LIST:
		return "prompts";
	case MCP_RESOURCES_LIST:
		return "resources";
	default:
		assert(list == MCP_TEMPLATES_LIST);
		return "resourceTemplates";
	}
}

bool list_write(struct buf *b, enum revision revision, enum method_id list, const json_t *items, const char *next,
		int64_t ttl_ms)
{
	result_open(b, revision);
	buf_addf(b, "\"%s\":", member_of(list));
	write_array(b, revision, list == MCP_TOOLS_LIST ? IN_TOOL : IN_ITEM, items);
	if (next) {
		buf_addc(b, ',');
		member_write_text(b, "nextCursor", next);
	}
	return result_close_cached(b, revision, ttl_ms);
}

bool read_result_write(struct buf *b, enum revision revision, const json_t *contents, int64_t ttl_ms)
{
	assert(json_array_size(contents) > 0);
	result_open(b, revision);
	buf_adds(b, "\"contents\":");
	write_array(b, revision, IN_CONTENT, contents);
	return result_close_cached(b, revision, ttl_ms);
}
