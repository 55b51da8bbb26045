/* Cortex Agents: one script of status, thinking, a tool, its table and a text, as events or as one answer. */
#include <stdio.h>
#include <string.h>
#include "cortex_parts.h"
#include "reply.h"
#include "snowgate/crypt.h"

#define TOOL_ID "toolu_emulator_1"

static json_t *row_type(const char *name, const char *type, bool number)
{
	json_t *column = json_pack("{s:s,s:s,s:b}", "name", name, "type", type, "nullable", 1);

	json_object_set_new(column, "precision", number ? json_integer(38) : json_null());
	json_object_set_new(column, "scale", number ? json_integer(0) : json_null());
	json_object_set_new(column, "length", number ? json_null() : json_integer(16777216));
	json_object_set_new(column, "byteLength", number ? json_null() : json_integer(16777216));
	return column;
}

/* A ResultSet as the SQL API has it. */
static json_t *result_set(const char *query_id)
{
	return json_pack("{s:{s:i,s:s,s:[{s:i,s:i}],s:[o,o]},s:[[s,s],[s,s],[s,n]],s:s,s:s}", "resultSetMetaData",
			 "numRows", 3, "format", "jsonv2", "partitionInfo", "rowCount", 3, "uncompressedSize", 52,
			 "rowType", row_type("REGION", "text", false), row_type("ORDERS", "fixed", true), "data",
			 "EMEA", "2", "AMER", "1", "APAC", "statementHandle", query_id, "code", "090001");
}

struct agent {
	const struct cortex_call *call;
	struct analyst_answer answer;
	char query_id[37];
};

static json_t *tool_use_json(const struct agent *a)
{
	return json_pack("{s:s,s:s,s:s,s:{s:s},s:b}", "tool_use_id", TOOL_ID, "type", "cortex_analyst_text_to_sql",
			 "name", "sales", "input", "query", cortex_question(a->call->body), "client_side_execute", 0);
}

static json_t *tool_result_json(const struct agent *a)
{
	json_t *result = json_pack("{s:s}", "text", a->answer.text);

	if (a->answer.sql) {
		json_object_set_new(result, "sql", json_string(a->answer.sql));
		json_object_set_new(result, "query_id", json_string(a->query_id));
	}
	return json_pack("{s:s,s:s,s:s,s:s,s:[{s:s,s:o}]}", "tool_use_id", TOOL_ID, "type",
			 "cortex_analyst_text_to_sql", "name", "sales", "status", "success", "content", "type", "json",
			 "json", result);
}

static json_t *table_json(const struct agent *a)
{
	return json_pack("{s:s,s:s,s:s,s:o}", "tool_use_id", TOOL_ID, "query_id", a->query_id, "title",
			 "Orders by region", "result_set", result_set(a->query_id));
}

static const char thinking[] = "The question is about sales; the tool sales can answer it.";

static const char *final_text(const struct agent *a)
{
	return a->answer.sql ? "There are three orders: two in EMEA and one in AMER; APAC has no figure."
			     : a->answer.text;
}

/* What the events put together come to. */
static json_t *response_json(const struct agent *a)
{
	json_t *content = json_array();

	json_array_append_new(content, json_pack("{s:s,s:{s:s}}", "type", "thinking", "thinking", "text", thinking));
	json_array_append_new(content, json_pack("{s:s,s:o}", "type", "tool_use", "tool_use", tool_use_json(a)));
	json_array_append_new(content,
			      json_pack("{s:s,s:o}", "type", "tool_result", "tool_result", tool_result_json(a)));
	if (a->answer.sql)
		json_array_append_new(content, json_pack("{s:s,s:o}", "type", "table", "table", table_json(a)));
	json_array_append_new(content,
			      json_pack("{s:s,s:s,s:[]}", "type", "text", "text", final_text(a), "annotations"));
	return json_pack("{s:s,s:o,s:{s:s,s:{s:[{s:s,s:{s:i,s:i,s:i,s:i},s:{s:i},s:i}]}}}", "role", "assistant",
			 "content", content, "metadata", "run_id", a->query_id, "usage", "tokens_consumed",
			 "model_name", "emulator", "input_tokens", "total", 120, "cache_read", 0, "cache_write", 0,
			 "uncached", 120, "output_tokens", "total", 48, "context_window", 200000);
}

static void status_event(struct cortex_stream *s, const char *status, const char *message)
{
	stream_event(s, "response.status", json_pack("{s:s,s:s}", "status", status, "message", message));
}

/* A text word by word, then whole. */
static void text_events(struct cortex_stream *s, const char *name, int index, const char *text)
{
	char delta[64];

	(void)snprintf(delta, sizeof(delta), "%s.delta", name);
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, " ");

		n += p[n] == ' ';
		stream_event(s, delta, json_pack("{s:i,s:o}", "content_index", index, "text", json_stringn(p, n)));
		p += n;
	}
	stream_event(s, name, json_pack("{s:i,s:s}", "content_index", index, "text", text));
}

static void indexed_event(struct cortex_stream *s, const char *name, int index, json_t *data)
{
	json_object_set_new(data, "content_index", json_integer(index));
	stream_event(s, name, data);
}

static void agent_stream(const struct agent *a)
{
	struct cortex_stream s;
	int index = 3;

	stream_open(&s, a->call);
	status_event(&s, "planning", "Planning the next steps");
	text_events(&s, "response.thinking", 0, thinking);
	indexed_event(&s, "response.tool_use", 1, tool_use_json(a));
	stream_event(&s, "response.tool_result.status",
		     json_pack("{s:s,s:s,s:s,s:s}", "tool_use_id", TOOL_ID, "tool_type", "cortex_analyst_text_to_sql",
			       "status", "executing", "message", "Executing SQL"));
	indexed_event(&s, "response.tool_result", 2, tool_result_json(a));
	if (a->answer.sql)
		indexed_event(&s, "response.table", index++, table_json(a));
	status_event(&s, "proceeding_to_answer", "Forming the answer");
	text_events(&s, "response.text", index, final_text(a));
	stream_event(&s, "response", response_json(a));
	stream_answer(&s);
}

void agent_serve(const struct cortex_call *call)
{
	struct agent a = {.call = call};
	const char *question = cortex_question(call->body);

	if (*call->object && !cortex_has(call->cortex, call->object)) {
		cortex_missing(call, "Agent", call->object);
		return;
	}
	if (!question) {
		cortex_bad(call, "messages holds no text of a user.");
		return;
	}
	if (json_object_get(call->body, "thread_id") && !json_object_get(call->body, "parent_message_id")) {
		cortex_bad(call, "thread_id needs parent_message_id.");
		return;
	}
	a.answer = *analyst_choose(question);
	crypt_uuid(a.query_id);
	if (json_bool_of(call->body, "stream", true))
		agent_stream(&a);
	else
		reply_json(call->exchange, 200, response_json(&a));
}
