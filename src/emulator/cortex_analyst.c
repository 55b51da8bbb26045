/* Cortex Analyst: a small table of words, texts and statements over the sample data. */
#include <string.h>
#include "cortex_parts.h"
#include "reply.h"

#define TABLES "SNOWFLAKE_SAMPLE_DATA.TPCH_SF1."

static const struct analyst_answer answers[] = {
    {"delete", "This is our interpretation of your question: remove the open orders.",
     "DELETE FROM DEMO.PUBLIC.ORDERS WHERE STATUS = 'OPEN'"},
    {"nation", "This is our interpretation of your question: revenue of all orders by the customers' nations.",
     "SELECT n.N_NAME AS NATION, SUM(o.O_TOTALPRICE) AS REVENUE FROM " TABLES "ORDERS AS o JOIN " TABLES
     "CUSTOMER AS c ON c.C_CUSTKEY = o.O_CUSTKEY JOIN " TABLES
     "NATION AS n ON n.N_NATIONKEY = c.C_NATIONKEY GROUP BY n.N_NAME ORDER BY REVENUE DESC, NATION"},
    {"segment", "This is our interpretation of your question: the number of customers by market segment.",
     "SELECT C_MKTSEGMENT AS SEGMENT, COUNT(*) AS CUSTOMERS FROM " TABLES
     "CUSTOMER GROUP BY C_MKTSEGMENT ORDER BY SEGMENT"},
    {"order", "This is our interpretation of your question: the number of orders.",
     "SELECT COUNT(*) AS ORDERS FROM " TABLES "ORDERS"},
    {"broken", "This is our interpretation of your question: a table that is gone.", "SELECT * FROM " TABLES "GONE"},
};

static const struct analyst_answer unclear = {
    NULL, "The question is ambiguous. Here are some that can be answered with this semantic model.", NULL};

static const char *const suggestions[] = {"How many orders are there?", "What is the revenue by nation?",
					  "How many customers are there in each market segment?"};

const struct analyst_answer *analyst_choose(const char *question)
{
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		if (cortex_mentions(question, answers[i].word))
			return &answers[i];
	}
	return &unclear;
}

static json_t *suggestions_json(void)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_LEN(suggestions); i++)
		json_array_append_new(list, json_string(suggestions[i]));
	return list;
}

static json_t *metadata_json(void)
{
	return json_pack("{s:[s],s:s,s:b}", "model_names", "emulator", "question_category", "CLEAR_SQL",
			 "is_semantic_sql", 0);
}

static json_t *content_json(const struct analyst_answer *answer)
{
	json_t *content = json_array();

	json_array_append_new(content, json_pack("{s:s,s:s}", "type", "text", "text", answer->text));
	if (answer->sql)
		json_array_append_new(content, json_pack("{s:s,s:s,s:{s:n}}", "type", "sql", "statement", answer->sql,
							 "confidence", "verified_query_used"));
	else
		json_array_append_new(content,
				      json_pack("{s:s,s:o}", "type", "suggestions", "suggestions", suggestions_json()));
	return content;
}

static void status_event(struct cortex_stream *s, const char *status, const char *message)
{
	stream_event(
	    s, "status",
	    json_pack("{s:s,s:s,s:s}", "status", status, "status_message", message, "request_id", s->call->request_id));
}

/* A text in two deltas, so that a reader has something to put together. */
static void delta_events(struct cortex_stream *s, int index, const char *type, const char *member, const char *text)
{
	size_t n = strlen(text), half = n / 2;

	while (half && ((unsigned char)text[half] & 0xc0) == 0x80)
		half--;
	stream_event(s, "message.content.delta",
		     json_pack("{s:i,s:s,s:o}", "index", index, "type", type, member, json_stringn(text, half)));
	stream_event(
	    s, "message.content.delta",
	    json_pack("{s:i,s:s,s:o}", "index", index, "type", type, member, json_stringn(text + half, n - half)));
}

static void analyst_stream(const struct cortex_call *call, const struct analyst_answer *answer)
{
	struct cortex_stream s;

	stream_open(&s, call);
	status_event(&s, "interpreting_question", "Interpreting question");
	delta_events(&s, 0, "text", "text_delta", answer->text);
	if (answer->sql) {
		status_event(&s, "generating_sql", "Generating SQL");
		delta_events(&s, 1, "sql", "statement_delta", answer->sql);
	}
	for (size_t i = 0; !answer->sql && i < ARRAY_LEN(suggestions); i++)
		stream_event(&s, "message.content.delta",
			     json_pack("{s:i,s:s,s:{s:i,s:s}}", "index", 1, "type", "suggestions", "suggestions_delta",
				       "index", (int)i, "suggestion_delta", suggestions[i]));
	stream_event(&s, "warnings", json_pack("{s:[]}", "warnings"));
	stream_event(&s, "response_metadata", metadata_json());
	status_event(&s, "done", "Done");
	stream_text(&s, "done", "[DONE]");
	stream_answer(&s);
}

/* Exactly one of the four ways to name the model. */
static bool model_is_named(const json_t *body)
{
	static const char *const ways[] = {"semantic_model_file", "semantic_model", "semantic_view", "semantic_models"};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		const json_t *way = json_object_get(body, ways[i]);

		n += way != NULL && !json_is_null(way);
	}
	return n == 1;
}

void analyst_serve(const struct cortex_call *call)
{
	const char *question = cortex_question(call->body), *view = json_text_of(call->body, "semantic_view");
	const struct analyst_answer *answer;

	if (!question) {
		cortex_bad(call, "messages holds no text of a user.");
	} else if (!model_is_named(call->body)) {
		cortex_bad(call,
			   "Exactly one of semantic_model_file, semantic_model, semantic_models and semantic_view is "
			   "needed.");
	} else if (view && !cortex_has(call->cortex, view)) {
		cortex_missing(call, "Semantic view", view);
	} else {
		answer = analyst_choose(question);
		if (json_bool_of(call->body, "stream", false))
			analyst_stream(call, answer);
		else
			reply_json(call->exchange, 200,
				   json_pack("{s:s,s:{s:s,s:o},s:[],s:o}", "request_id", call->request_id, "message",
					     "role", "analyst", "content", content_json(answer), "warnings",
					     "response_metadata", metadata_json()));
	}
}
