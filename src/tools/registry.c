/* The table of tools: definitions built in as JSON, bound to their functions, cut to a policy when listed. */
#include "index_fill.h"
#include "sets.h"
#include "tools_internal.h"

#include <stdio.h>
#include <string.h>

extern const char *const tool_definitions[]; /* made by embed.cmake from defs/ */

static struct tool tools[] = {
    {.name = "execute_query",
     .toolsets = TOOLSET_CORE | TOOLSET_CLASSIC,
     .handler = {.plan = plan_execute_query, .confirm = confirm_execute_query, .answer = answer_execute_query}},
    {.name = "get_result",
     .toolsets = TOOLSET_CORE | TOOLSETS_OF_ROWS,
     .handler = {.plan = plan_get_result, .answer = answer_get_result}},
    {.name = "cancel_query",
     .toolsets = TOOLSET_CORE | TOOLSETS_OF_ROWS,
     .handler = {.plan = plan_cancel_query, .answer = answer_cancel_query}},
    {.name = "list_objects",
     .toolsets = TOOLSET_CORE,
     .handler = {.plan = plan_list_objects, .answer = answer_list_objects}},
    {.name = "search_catalog",
     .toolsets = TOOLSET_CORE,
     .handler = {.plan = plan_search_catalog, .answer = answer_search_catalog, .settle = settle_search_catalog}},
    {.name = "describe_object",
     .toolsets = TOOLSET_CORE,
     .handler = {.plan = plan_describe_object, .answer = answer_describe_object}},
    {.name = "set_context",
     .toolsets = TOOLSET_CORE,
     .handler = {.plan = plan_set_context,
		 .confirm = confirm_set_context,
		 .answer = answer_set_context,
		 .answer_on_net = true}},
    {.name = "list_databases",
     .toolsets = TOOLSET_CLASSIC,
     .handler = {.plan = plan_list_databases, .answer = answer_list_databases}},
    {.name = "list_views",
     .toolsets = TOOLSET_CLASSIC,
     .handler = {.plan = plan_list_views, .answer = answer_list_views}},
    {.name = "describe_view",
     .toolsets = TOOLSET_CLASSIC,
     .handler = {.plan = plan_describe_view, .answer = answer_describe_view}},
    {.name = "query_view", .toolsets = TOOLSET_CLASSIC, .handler = {.plan = plan_query_view, .answer = answer_rows}},
    {.name = "run_snowflake_query",
     .toolsets = TOOLSET_LABS,
     .handler = {.plan = plan_run_query, .confirm = confirm_execute_query, .answer = answer_execute_query}},
    {.name = "list_objects",
     .toolsets = TOOLSET_LABS,
     .handler = {.plan = plan_labs_list, .answer = answer_list_objects}},
    {.name = "describe_object",
     .toolsets = TOOLSET_LABS,
     .handler = {.plan = plan_labs_describe, .answer = answer_labs_describe}},
    {.name = "list_semantic_views",
     .toolsets = TOOLSET_SEMANTIC,
     .handler = {.plan = plan_semantic_views, .answer = answer_list_objects}},
    {.name = "describe_semantic_view",
     .toolsets = TOOLSET_SEMANTIC,
     .handler = {.plan = plan_semantic_describe, .answer = answer_rows}},
    {.name = "show_semantic_dimensions",
     .toolsets = TOOLSET_SEMANTIC,
     .handler = {.plan = plan_semantic_dimensions, .answer = answer_rows}},
    {.name = "show_semantic_metrics",
     .toolsets = TOOLSET_SEMANTIC,
     .handler = {.plan = plan_semantic_metrics, .answer = answer_rows}},
    {.name = "get_semantic_view_ddl",
     .toolsets = TOOLSET_SEMANTIC,
     .handler = {.plan = plan_semantic_ddl, .answer = answer_semantic_ddl}},
    {.name = "write_semantic_view_query",
     .alias = "write_semantic_view_tool",
     .toolsets = TOOLSET_SEMANTIC,
     .handler = {.plan = plan_semantic_write, .answer = answer_semantic_write}},
    {.name = "query_semantic_view",
     .toolsets = TOOLSET_SEMANTIC,
     .handler = {.plan = plan_semantic_query, .answer = answer_rows}},
    {.name = "cortex_search",
     .toolsets = TOOLSET_CORTEX,
     .handler = {.plan = plan_cortex_search, .answer = answer_cortex_search}},
    {.name = "cortex_analyst",
     .toolsets = TOOLSET_CORTEX,
     .handler = {.plan = plan_cortex_analyst, .more = more_cortex_analyst, .answer = answer_cortex_analyst}},
    {.name = "cortex_agent",
     .toolsets = TOOLSET_CORTEX,
     .handler = {.plan = plan_cortex_agent, .answer = answer_cortex_agent}},
};

/* The tool that a definition is of: two toolsets may each have one of the same name. */
static struct tool *tool_defined(const char *name, const char *toolset)
{
	unsigned of = toolset ? toolset_of(toolset) : TOOLSET_CORE | TOOLSET_CLASSIC;

	for (size_t i = 0; name && i < ARRAY_LEN(tools); i++)
		if (strcmp(tools[i].name, name) == 0 && (tools[i].toolsets & of))
			return &tools[i];
	return NULL;
}

static void definition_broken(const char *text, const char *why)
{
	fprintf(stderr, "broken tool definition: %s: %.60s\n", why, text);
	abort();
}

/* A tool whose statements the policy does not allow as SQL is not there at all. The others run what the client sends,
 * which the guard judges, or nothing of their own. */
static bool tool_allowed(const struct policy *policy, const struct tool *tool)
{
	static int (*const metadata[])(struct call *) = {plan_list_objects, plan_describe_object, plan_list_databases,
							 plan_list_views,   plan_describe_view,   plan_search_catalog};

	if (tool->handler.plan == plan_query_view)
		return policy->statements & CLASS_READ;
	if (!(tool->toolsets & (TOOLSET_CORE | TOOLSET_CLASSIC)))
		return set_tool_allowed(policy, tool);
	for (size_t i = 0; i < ARRAY_LEN(metadata); i++)
		if (tool->handler.plan == metadata[i])
			return policy->statements & CLASS_METADATA;
	return true;
}

static bool tool_is(const struct tool *tool, const char *name)
{
	return strcmp(tool->name, name) == 0 || (tool->alias && strcmp(tool->alias, name) == 0);
}

static bool required_are_there(const struct tool *tool, const json_t *arguments)
{
	const json_t *required = json_object_get(tool->schemas[0], "required");

	for (size_t i = 0; i < json_array_size(required); i++)
		if (!json_object_get(arguments, json_string_value(json_array_get(required, i))))
			return false;
	return true;
}

const struct tool *tool_called(const struct policy *policy, const char *name, const json_t *arguments)
{
	const struct tool *first = NULL;

	for (size_t i = 0; name && i < ARRAY_LEN(tools); i++) {
		const struct tool *tool = &tools[i];

		if (!tool_is(tool, name) || !tool_allowed(policy, tool) ||
		    !(tool->toolsets & (policy->toolsets | TOOLSET_CLASSIC)))
			continue;
		if (!first)
			first = tool;
		if (arguments && required_are_there(tool, arguments))
			return tool;
	}
	return first;
}

const struct tool *tool_find(const struct policy *policy, const char *name)
{
	return tool_called(policy, name, NULL);
}

const char *tool_advice(const char *name)
{
	static const char *const changing[] = {"create_object", "create_or_alter_object", "drop_object"};

	for (size_t i = 0; name && i < ARRAY_LEN(changing); i++)
		if (strcmp(changing[i], name) == 0)
			return "to create, alter or drop, send the statement with execute_query";
	return "tools/list shows what there is";
}

/* ---- a definition cut to a policy ---- */

static const char *const class_names[] = {"read", "metadata", "dml", "ddl", "dcl", "script"};

void names_of_classes(struct buf *b, unsigned classes)
{
	for (size_t i = 0, n = 0; i < ARRAY_LEN(class_names); i++)
		if (classes & 1u << i)
			buf_addf(b, "%s%s", n++ ? ", " : "", class_names[i]);
}

#define ROLES_TOLD 2048 /* bytes of a description for the roles it lists */

static void names_of_roles(struct buf *b, const struct policy *p)
{
	size_t start = b->n, i = 0;

	for (; i < p->roles.n && b->n - start + strlen(p->roles.v[i]) < ROLES_TOLD; i++)
		buf_addf(b, "%s%s", i ? ", " : "", p->roles.v[i]);
	if (i < p->roles.n)
		buf_addf(b, " and %zu more", p->roles.n - i);
}

/* What stands for {name} in a description. */
static void fill_in(struct buf *b, struct slice name, const struct conf *conf, const struct policy *p, bool has_session)
{
	if (slice_is(name, "default_rows"))
		buf_addf(b, "%lld", (long long)conf->results_default_rows);
	else if (slice_is(name, "max_rows"))
		buf_addf(b, "%lld", (long long)conf->results_max_rows);
	else if (slice_is(name, "statements"))
		names_of_classes(b, p->statements);
	else if (slice_is(name, "how_many"))
		buf_adds(b, p->statements & CLASS_SCRIPT
				? "Several statements separated by semicolons run one after the other; transactions "
				  "and USE count until the end of the text."
				: "One statement per call.");
	else if (slice_is(name, "roles"))
		names_of_roles(b, p);
	else if (slice_is(name, "session_note") && has_session)
		buf_adds(b, "USE and ALTER SESSION SET change the session.");
	else if (slice_is(name, "session_note"))
		buf_adds(b, "USE and ALTER SESSION need a session: call set_context, then pass its `session`.");
	else
		services_told(b, name, conf, p);
}

static json_t *filled(const char *text, const struct conf *conf, const struct policy *p, bool has_session)
{
	struct buf b = buf_with_ceiling(16384);
	const char *whole = text;
	json_t *out;

	while (*text) {
		size_t plain = strcspn(text, "{");
		const char *end = strchr(text + plain, '}');

		buf_add(&b, text, plain);
		text += plain;
		if (!end)
			break;
		fill_in(&b, (struct slice){text + 1, (size_t)(end - text - 1)}, conf, p, has_session);
		text = end + 1;
	}
	buf_adds(&b, text);
	out = json_string(buf_failed(&b) ? whole : buf_text(&b));
	buf_free(&b);
	return out;
}

static void fill_description(json_t *object, const struct conf *conf, const struct policy *p, bool has_session)
{
	const char *text = json_text_of(object, "description");

	if (text)
		json_object_set_new(object, "description", filled(text, conf, p, has_session));
}

static void property_drop(json_t *schema, const char *name)
{
	json_t *required = json_object_get(schema, "required");

	json_object_del(json_object_get(schema, "properties"), name);
	for (size_t i = 0; i < json_array_size(required); i++)
		if (strcmp(json_string_value(json_array_get(required, i)), name) == 0)
			json_array_remove(required, i--);
	if (required && json_array_size(required) == 0)
		json_object_del(schema, "required");
}

/* What the policy fixes is no argument: bit i for cuttable[i]. */
static const char *const cuttable[] = {"session", "role", "warehouse", "database"};

static unsigned cuts_of(const struct policy *p, bool has_session)
{
	return (has_session ? 1u : 0) | (p->roles.n <= 1 ? 2u : 0) | (p->warehouse ? 4u : 0) |
	       (p->databases.n == 1 ? 8u : 0);
}

static void schema_cut(json_t *schema, unsigned cuts)
{
	for (size_t i = 0; i < ARRAY_LEN(cuttable); i++)
		if (cuts & 1u << i)
			property_drop(schema, cuttable[i]);
}

/* Which of cuttable[] this schema has at all. */
static unsigned cuts_possible(const json_t *schema)
{
	const json_t *properties = json_object_get(schema, "properties");
	unsigned cuts = 0;

	for (size_t i = 0; i < ARRAY_LEN(cuttable); i++)
		cuts |= json_object_get(properties, cuttable[i]) ? 1u << i : 0;
	return cuts;
}

/* Every call is checked against one of these: made once, and shared where a cut takes nothing away. */
static void schemas_make(struct tool *tool)
{
	json_t *whole = json_deep_copy(json_object_get(tool->definition, "inputSchema")), *property;
	unsigned possible = cuts_possible(whole);
	const char *name;

	json_object_foreach(json_object_get(whole, "properties"), name, property)
	    json_object_del(property, "description");
	tool->schemas[0] = whole;
	for (unsigned cuts = 1; cuts < TOOL_CUTS; cuts++) {
		unsigned taken = cuts & possible; /* not above cuts: made already where it is another */

		if (taken == cuts) {
			tool->schemas[cuts] = json_deep_copy(whole);
			schema_cut(tool->schemas[cuts], cuts);
		} else {
			tool->schemas[cuts] = json_incref(tool->schemas[taken]);
		}
	}
}

/* ---- all of them ---- */

void tools_load(void)
{
	for (const char *const *text = tool_definitions; *text; text++) {
		char why[160] = "", *end = why + sizeof why;
		const char *keyword = NULL;
		struct tool *tool;
		json_t *definition;

		if (json_parse(slice_of(*text), JSON_DEPTH_MAX, &definition, why, (size_t)(end - why)) != JSON_OK)
			definition_broken(*text, why);
		tool = tool_defined(json_text_of(definition, "name"), json_text_of(definition, "toolset"));
		json_object_del(definition, "toolset");
		if (!tool || tool->definition)
			definition_broken(*text, "no such tool, or twice");
		if (!schema_usable(json_object_get(definition, "inputSchema"), &keyword))
			definition_broken(*text, keyword);
		tool->definition = definition;
	}
	for (size_t i = 0; i < ARRAY_LEN(tools); i++)
		if (!tools[i].definition)
			definition_broken(tools[i].name, "missing");
		else
			schemas_make(&tools[i]);
	catalogue_open();
}

void tools_free(void)
{
	for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
		json_decref(tools[i].definition);
		tools[i].definition = NULL;
		for (size_t k = 0; k < TOOL_CUTS; k++)
			json_decref(TAKE(tools[i].schemas[k]));
	}
	catalogue_close();
}

void tools_reloaded(void)
{
	catalogue_forget();
}

/* Other names of arguments are taken, and not shown; nor that an argument may be of another type, which some clients
 * cannot read. */
static void schema_hide(json_t *schema)
{
	json_t *properties = json_object_get(schema, "properties"), *property;
	const char *name;
	void *next;

	json_object_foreach_safe(properties, next, name, property)
	{
		json_t *types = json_object_get(property, "type");

		if (json_bool_of(property, "deprecated", false))
			json_object_del(properties, name);
		else if (json_is_array(types))
			json_object_set(property, "type", json_array_get(types, 0));
	}
}

static json_t *definition_cut(const struct conf *conf, const struct policy *p, const struct tool *tool,
			      bool has_session)
{
	const unsigned harmless = CLASS_READ | CLASS_METADATA;
	json_t *definition = json_deep_copy(tool->definition), *property;
	json_t *schema = json_object_get(definition, "inputSchema");
	const char *name;

	schema_cut(schema, cuts_of(p, has_session));
	schema_hide(schema);
	services_offer(schema, tool, conf, p);
	fill_description(definition, conf, p, has_session);
	json_object_foreach(json_object_get(schema, "properties"), name, property)
	    fill_description(property, conf, p, has_session);
	if ((tool->handler.plan == plan_execute_query || tool->handler.plan == plan_run_query) &&
	    (p->statements & ~harmless)) {
		json_t *annotations = json_object_get(definition, "annotations");

		json_object_set_new(annotations, "readOnlyHint", json_false());
		json_object_set_new(annotations, "destructiveHint", json_true());
	}
	return definition;
}

/* Of two tools of one name the first is; a tool without anything it could work on is not. */
static bool is_listed(const struct conf *conf, const struct policy *policy, const struct tool *tool)
{
	if (!(tool->toolsets & policy->toolsets) || !tool_allowed(policy, tool) || !has_services(tool, conf, policy))
		return false;
	for (const struct tool *t = tools; t < tool; t++)
		if (strcmp(t->name, tool->name) == 0 && (t->toolsets & policy->toolsets))
			return false;
	return true;
}

json_t *tools_listed(const struct conf *conf, const struct policy *policy, bool has_session)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_LEN(tools); i++)
		if (is_listed(conf, policy, &tools[i]))
			json_array_append_new(list, definition_cut(conf, policy, &tools[i], has_session));
	return list;
}

const json_t *tool_schema(const struct policy *policy, const struct tool *tool, bool has_session)
{
	return tool->schemas[cuts_of(policy, has_session)];
}

/* ---- instructions ---- */

#define INSTRUCTIONS_MAX   1536
#define INSTRUCTIONS_NAMES 300 /* bytes for each list of names; the fixed texts need about 650 */

/* As many names as fit, and how many more there are. */
static void names_told(struct buf *b, const char *label, struct texts names)
{
	size_t start = b->n, i = 0;

	buf_adds(b, label);
	for (; i < names.n && (i == 0 || b->n - start + strlen(names.v[i]) < INSTRUCTIONS_NAMES); i++)
		buf_addf(b, "%s%s", i ? ", " : "", names.v[i]);
	if (i < names.n)
		buf_addf(b, " and %zu more", names.n - i);
	buf_adds(b, ". ");
}

/* The start of a text that is at most `max` bytes, cut between characters. */
static size_t text_cut(const struct buf *text, size_t max)
{
	size_t n = text->n < max ? text->n : max;

	while (n < text->n && ((unsigned char)text->data[n] & 0xC0) == 0x80)
		n--;
	return n;
}

bool tools_instructions(struct buf *b, const struct conf *conf, const struct policy *p)
{
	struct buf text = buf_with_ceiling(8192);
	bool added;

	buf_addf(&text, "Snowflake%s%.255s through snowgate. ", p->connection ? " account " : "",
		 p->connection ? p->connection->account ? p->connection->account : p->connection->host : "");
	if (p->roles.n)
		names_told(&text, "Roles: ", p->roles);
	else if (p->connection && p->connection->role)
		buf_addf(&text, "Role: %s. ", p->connection->role);
	buf_adds(&text, "Allowed statements: ");
	names_of_classes(&text, p->statements);
	buf_addf(
	    &text,
	    ". Work in this order: search_catalog, describe_object, execute_query; list_objects lists all there is. "
	    "Answers hold %lld rows unless limit says more; the first line of an answer tells what was cut and how to "
	    "get the rest with get_result. "
	    "A statement that runs longer than you wait is answered `running` with a handle: get_result waits for it, "
	    "cancel_query ends it. set_context sets database, schema, warehouse and role for later calls. ",
	    (long long)conf->results_default_rows);
	if (p->databases.n)
		names_told(&text, "Databases: ", p->databases);
	added = buf_add(b, buf_text(&text), text_cut(&text, INSTRUCTIONS_MAX));
	buf_free(&text);
	return added;
}
