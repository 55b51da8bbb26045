/* What a fixture asks the client: which questions are open, and whether an answer is one. */
#include "fixtures.h"

#include <string.h>

static const struct {
	const char *method, *capability;
	enum client_can can;
} kinds[] = {
    {"elicitation/create", "elicitation", CLIENT_FORM},
    {"sampling/createMessage", "sampling", CLIENT_SAMPLING},
    {"roots/list", "roots", CLIENT_ROOTS},
};

static size_t kind_of(const char *method)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i].method, method) == 0)
			return i;
	assert(!"a method that fixtures.json made up");
	return 0;
}

/* An accepted form holds what was required of it. */
static bool form_is_filled(const json_t *ask, const json_t *answer)
{
	const json_t *params = json_object_get(ask, "params"), *content = json_object_get(answer, "content");
	const json_t *required = json_object_get(json_object_get(params, "requestedSchema"), "required");
	const char *action = json_text_of(answer, "action");

	if (!action)
		return false;
	if (strcmp(action, "accept") != 0)
		return strcmp(action, "decline") == 0 || strcmp(action, "cancel") == 0;
	for (size_t i = 0; i < json_array_size(required); i++)
		if (!json_object_get(content, json_string_value(json_array_get(required, i))))
			return false;
	return json_is_object(content);
}

static bool is_answered(const struct call *c, const json_t *ask)
{
	const char *method = json_text_of(ask, "method");
	const json_t *answer = call_answer(c, json_text_of(ask, "key"));

	if (!json_is_object(answer))
		return false;
	if (strcmp(method, "elicitation/create") == 0)
		return form_is_filled(ask, answer);
	if (strcmp(method, "roots/list") == 0)
		return json_is_array(json_object_get(answer, "roots"));
	return json_object_get(answer, "content") != NULL;
}

/* The legacy era has no error for it: a tool tells it in its result. */
static int refuse(struct call *c, enum err err, const char *why, const char *what)
{
	if (c->tool && c->era.era == ERA_LEGACY)
		tool_error(c, err, NULL, NULL, "%s %s", why, what);
	else
		(void)call_fail(c, err, "%s %s", why, what);
	return (int)err;
}

static int lacks(struct call *c, const char *capability)
{
	bool modern = c->era.era == ERA_MODERN;
	json_t *data = modern ? json_pack("{s:{s:{}}}", "requiredCapabilities", capability) : NULL;
	int rc = refuse(c, modern ? ERR_CAPABILITY : ERR_INVALID_PARAMS, "this needs a client with", capability);

	if (data)
		c->fault.data = arena_attach(c->arena, data, json_release) ? data : NULL;
	return rc;
}

/* A legacy client is asked once: it would be asked for ever on a stream that nobody watches. */
static int ask_client(struct call *c, const json_t *ask)
{
	const char *key = json_text_of(ask, "key");
	json_t *scope;
	bool asked;

	if (c->era.era == ERA_LEGACY && call_answer(c, key))
		return refuse(c, ERR_INVALID_PARAMS, "the client's answer is not what was asked for:", key);
	scope = scope_of(c);
	asked = call_ask(c, key, json_text_of(ask, "method"), expand(json_object_get(ask, "params"), scope));
	json_decref(scope);
	return asked ? ERR_OK : refuse(c, ERR_INTERNAL, "this question is one too many:", key);
}

static int ask_make(struct call *c, const json_t *fixture, const json_t *ask)
{
	size_t kind = kind_of(json_text_of(ask, "method"));
	const char *after = json_text_of(ask, "after");
	const json_t *asks = json_object_get(fixture, "asks");

	if (is_answered(c, ask))
		return ERR_OK;
	for (size_t i = 0; after && i < json_array_size(asks); i++) {
		const json_t *other = json_array_get(asks, i);

		if (strcmp(json_text_of(other, "key"), after) == 0 && !is_answered(c, other))
			return ERR_OK;
	}
	if (c->can & kinds[kind].can)
		return ask_client(c, ask);
	return json_bool_of(ask, "optional", false) ? ERR_OK : lacks(c, kinds[kind].capability);
}

int asks_make(struct call *c, const json_t *fixture)
{
	const json_t *asks = json_object_get(fixture, "asks");
	int rc = ERR_OK;

	for (size_t i = 0; rc == ERR_OK && i < json_array_size(asks); i++)
		rc = ask_make(c, fixture, json_array_get(asks, i));
	return rc;
}
