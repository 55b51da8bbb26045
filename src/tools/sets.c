/* What the registry asks of the toolsets snowflake-labs, semantic and cortex: who may call which tool, and for what. */
#include "sets.h"

#include <string.h>

#define SERVICES_TOLD 4096 /* bytes of a description for the services it lists */

unsigned toolset_of(const char *name)
{
	static const struct {
		const char *name;
		unsigned bit;
	} sets[] = {{"snowflake-labs", TOOLSET_LABS}, {"semantic", TOOLSET_SEMANTIC}, {"cortex", TOOLSET_CORTEX}};

	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		if (strcmp(sets[i].name, name) == 0)
			return sets[i].bit;
	return 0;
}

bool set_tool_allowed(const struct policy *policy, const struct tool *tool)
{
	static int (*const reading[])(struct call *) = {plan_semantic_write, plan_semantic_query, plan_cortex_search,
							plan_cortex_analyst, plan_cortex_agent};

	if (tool->handler.plan == plan_run_query) /* what it runs is the guard's to judge */
		return true;
	for (size_t i = 0; i < ARRAY_LEN(reading); i++)
		if (tool->handler.plan == reading[i])
			return policy->statements & CLASS_READ;
	return policy->statements & CLASS_METADATA;
}

bool argument_set(struct call *c, const char *name, json_t *value)
{
	json_t *arguments = json_copy(c->arguments);

	if (!arguments || json_object_set_new(arguments, name, value) != 0 ||
	    !arena_attach(c->arena, arguments, json_release)) {
		return false;
	}
	c->arguments = arguments;
	return true;
}

/* ---- services ---- */

static bool is_cortex(const struct tool *tool, enum cortex_kind *kind)
{
	static int (*const plans[CORTEX_KINDS_N])(struct call *) = {plan_cortex_search, plan_cortex_analyst,
								    plan_cortex_agent};

	for (int i = 0; i < CORTEX_KINDS_N; i++)
		if (tool->handler.plan == plans[i]) {
			*kind = (enum cortex_kind)i;
			return true;
		}
	return false;
}

static json_t *names_of_services(const struct conf *conf, const struct policy *policy, enum cortex_kind kind)
{
	json_t *names = json_array();

	for (size_t i = 0; i < conf->cortex_n; i++)
		if (conf->cortex[i].kind == kind && cortex_allowed(policy, &conf->cortex[i]))
			json_array_append_new(names, json_string(conf->cortex[i].name));
	return names;
}

bool has_services(const struct tool *tool, const struct conf *conf, const struct policy *policy)
{
	enum cortex_kind kind;

	if (!is_cortex(tool, &kind))
		return true;
	for (size_t i = 0; i < conf->cortex_n; i++)
		if (conf->cortex[i].kind == kind && cortex_allowed(policy, &conf->cortex[i]))
			return true;
	return false;
}

void services_offer(json_t *schema, const struct tool *tool, const struct conf *conf, const struct policy *policy)
{
	json_t *property = json_object_get(json_object_get(schema, "properties"), "service_name");
	enum cortex_kind kind;

	if (property && is_cortex(tool, &kind))
		json_object_set_new(property, "enum", names_of_services(conf, policy, kind));
}

void services_told(struct buf *b, struct slice placeholder, const struct conf *conf, const struct policy *policy)
{
	static const char *const placeholders[CORTEX_KINDS_N] = {"search_services", "analyst_services",
								 "agent_services"};
	size_t start = b->n, told = 0, more = 0;

	for (size_t i = 0; i < conf->cortex_n; i++) {
		const struct cortex_service *s = &conf->cortex[i];
		size_t n = strlen(s->name) + strlen(s->description) + strlen(" (), ");

		if (!slice_is(placeholder, placeholders[s->kind]) || !cortex_allowed(policy, s))
			continue;
		if (more || b->n - start + n > SERVICES_TOLD) {
			more++;
			continue;
		}
		buf_addf(b, "%s%s%s%s%s", told++ ? ", " : "", s->name, *s->description ? " (" : "", s->description,
			 *s->description ? ")" : "");
	}
	if (more)
		buf_addf(b, " and %zu more", more);
}
