/* What a client wants to be told of: reads the filter of subscriptions/listen, and says what will be sent. */
#include <string.h>

#include "internal.h"

static const char *const change_names[CHANGES_N] = {
    [CHANGE_TOOLS] = "toolsListChanged",
    [CHANGE_PROMPTS] = "promptsListChanged",
    [CHANGE_RESOURCES] = "resourcesListChanged",
};

static int read_change(struct arena *a, const json_t *filter, const char *name, bool *wanted, struct mcp_fault *f)
{
	const json_t *value = json_object_get(filter, name);
	if (value && !json_is_boolean(value))
		return fault_set(a, f, ERR_INVALID_PARAMS, "params.notifications.%s must be true or false", name);
	*wanted = json_is_true(value);
	return ERR_OK;
}

static bool is_listed(const char *const *texts, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(texts[i], text) == 0)
			return true;
	return false;
}

static size_t bytes_of(const struct listen *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->uris_n; i++)
		n += strlen(l->uris[i]);
	return n;
}

static int read_uri(struct arena *a, const json_t *value, struct listen *l, struct mcp_fault *f)
{
	static const char where[] = "params.notifications.resourceSubscriptions";
	const char *uri = json_string_value(value);
	size_t n = json_string_length(value);

	if (n == 0 || n > LISTEN_URI_MAX)
		return fault_set(a, f, ERR_INVALID_PARAMS, "%s must hold URIs of 1 to %d bytes", where, LISTEN_URI_MAX);
	if (is_listed(l->uris, l->uris_n, uri))
		return ERR_OK;
	if (l->uris_n == LISTEN_URIS_MAX || bytes_of(l) + n > LISTEN_BYTES_MAX)
		return fault_set(a, f, ERR_INVALID_PARAMS,
				 "%s must hold at most %d URIs, %d bytes in all; listen to the others in another "
				 "request",
				 where, LISTEN_URIS_MAX, LISTEN_BYTES_MAX);
	l->uris[l->uris_n++] = uri;
	return ERR_OK;
}

static int read_uris(struct arena *a, const json_t *list, struct listen *l, struct mcp_fault *f)
{
	int err = ERR_OK;
	if (list && !json_is_array(list))
		return fault_set(a, f, ERR_INVALID_PARAMS,
				 "params.notifications.resourceSubscriptions must be an array of URIs");
	for (size_t i = 0; err == ERR_OK && i < json_array_size(list); i++)
		err = read_uri(a, json_array_get(list, i), l, f);
	return err;
}

/* An id of another shape names no task of ours. */
static int read_tasks(struct arena *a, const json_t *list, struct listen *l, struct mcp_fault *f)
{
	static const char where[] = "params.notifications.taskIds";

	if (list && !json_is_array(list))
		return fault_set(a, f, ERR_INVALID_PARAMS, "%s must be an array of task ids", where);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *id = json_string_value(json_array_get(list, i));
		if (!id)
			return fault_set(a, f, ERR_INVALID_PARAMS, "%s must hold strings", where);
		if (!task_id_shaped(id) || is_listed(l->tasks, l->tasks_n, id))
			continue;
		if (l->tasks_n == LISTEN_TASKS_MAX)
			return fault_set(a, f, ERR_INVALID_PARAMS,
					 "%s must hold at most %d ids; listen to the others in another request", where,
					 LISTEN_TASKS_MAX);
		l->tasks[l->tasks_n++] = id;
	}
	return ERR_OK;
}

int listen_read(struct arena *a, const struct rpc *rpc, struct listen *l, struct mcp_fault *fault)
{
	const json_t *filter = json_object_get(rpc->params, "notifications");
	int err = ERR_OK;

	*l = (struct listen){.uris_n = 0};
	*fault = (struct mcp_fault){ERR_OK, NULL, NULL};
	if (!json_is_object(filter))
		return fault_set(a, fault, ERR_INVALID_PARAMS,
				 "params.notifications must be there and be an object, such as "
				 "{\"toolsListChanged\":true}");
	for (size_t i = 0; err == ERR_OK && i < CHANGES_N; i++)
		err = read_change(a, filter, change_names[i], &l->changes[i], fault);
	if (err == ERR_OK)
		err = read_uris(a, json_object_get(filter, "resourceSubscriptions"), l, fault);
	return err == ERR_OK ? read_tasks(a, json_object_get(filter, "taskIds"), l, fault) : err;
}

/* A member that is an array of texts; nothing where there are none. */
static bool texts_write(struct buf *b, const char *comma, const char *name, const char *const *texts, size_t n)
{
	if (n == 0)
		return !buf_failed(b);
	buf_addf(b, "%s\"%s\":[", comma, name);
	for (size_t i = 0; i < n; i++) {
		buf_adds(b, i ? "," : "");
		json_write_string(b, texts[i], strlen(texts[i]));
	}
	return buf_addc(b, ']');
}

/* Only what is wanted is named, so that the client reads what it gets. */
static bool filter_write(struct buf *b, const struct listen *l)
{
	const char *comma = "";

	for (size_t i = 0; i < CHANGES_N; i++) {
		if (!l->changes[i])
			continue;
		buf_addf(b, "%s\"%s\":true", comma, change_names[i]);
		comma = ",";
	}
	texts_write(b, comma, "resourceSubscriptions", l->uris, l->uris_n);
	return texts_write(b, l->uris_n ? "," : comma, "taskIds", l->tasks, l->tasks_n);
}

bool acknowledged_write(struct buf *b, const struct listen *l, struct slice subscription)
{
	notification_open(b, "subscriptions/acknowledged");
	buf_adds(b, ",\"params\":{\"notifications\":{");
	filter_write(b, l);
	buf_adds(b, "},");
	subscription_write(b, subscription);
	return buf_adds(b, "}}");
}

bool listen_result_write(struct buf *b, struct slice subscription)
{
	result_open(b, REVISION_2026_07_28);
	meta_open(b);
	buf_adds(b, ",\"" META_SUBSCRIPTION "\":");
	buf_add(b, subscription.data, subscription.n);
	return buf_adds(b, "}}");
}
