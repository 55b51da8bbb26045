/* Cortex Search over a fixed set of documents: words decide the order, filters and columns are as the service has them.
 */
#include <string.h>
#include <strings.h>
#include "cortex_parts.h"
#include "reply.h"

#define LIMIT_DEFAULT 10
#define LIMIT_MAX     1000
#define FILTER_DEPTH  16

struct document {
	const char *doc_id, *title, *doc, *region, *tags, *ts;
	int priority;
};

static const struct document documents[] = {
    {"D-001", "Late delivery to Berlin", "The carrier reported a late delivery: the truck waited at the border.", "EU",
     "delivery,carrier", "2025-01-14", 2},
    {"D-002", "Refund after a late delivery", "The customer was refunded because the delivery came nine days late.",
     "EU", "delivery,refund", "2025-02-03", 1},
    {"D-003", "How to open an account", "An account is opened online in five steps.", "US", "account", "2024-11-20", 3},
    {"D-004", "Invoice with a wrong address", "An invoice can be issued again with another address.", "US",
     "invoice,address", "2025-03-09", 2},
    {"D-005", "Delivery times in Asia", "Deliveries to Asia take between six and fourteen days.", "APAC", "delivery",
     "2025-03-30", 3},
    {"D-006", "Broken parts", "Parts that arrive broken are replaced free of charge.", "EU", "parts,refund",
     "2024-12-12", 1},
    {"D-007", "Kündigung und Widerruf", "Ein Vertrag kann binnen vierzehn Tagen widerrufen werden.", "EU", "contract",
     "2025-04-02", 2},
    {"D-008", "Password reset", "A password is reset by a link that is good for one hour.", "US", "account,security",
     "2025-05-18", 1},
    {"D-009", "Customs papers", "Customs papers delay a delivery when the invoice is missing.", "APAC",
     "delivery,customs", "2025-06-01", 2},
    {"D-010", "Opening hours of support", "Support answers from eight to six, Monday to Friday.", "EU", "support",
     "2024-10-05", 4},
};

static json_t *tags_json(const char *tags)
{
	json_t *list = json_array();

	for (const char *p = tags; *p; p += strcspn(p, ","), p += *p == ',')
		json_array_append_new(list, json_stringn(p, strcspn(p, ",")));
	return list;
}

/* A new reference; NULL for a column that is not there. */
static json_t *value_of(const struct document *d, const char *column)
{
	const struct {
		const char *name, *text;
	} texts[] = {{"DOC_ID", d->doc_id}, {"TITLE", d->title}, {"DOC", d->doc}, {"REGION", d->region}, {"TS", d->ts}};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (!strcasecmp(texts[i].name, column))
			return json_string(texts[i].text);
	}
	if (!strcasecmp(column, "TAGS"))
		return tags_json(d->tags);
	return strcasecmp(column, "PRIORITY") ? NULL : json_integer(d->priority);
}

/* ---- filters ---- */

/* -1, 0 or 1; false when the two are of different kinds. */
static bool compare(const json_t *a, const json_t *b, int *order)
{
	double difference = json_number_value(a) - json_number_value(b);

	*order = 0;
	if (json_is_number(a) && json_is_number(b))
		*order = difference < 0 ? -1 : difference > 0;
	else if (json_is_string(a) && json_is_string(b))
		*order = strcmp(json_string_value(a), json_string_value(b));
	else
		return false;
	return true;
}

static bool list_has(const json_t *list, const json_t *value)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (json_equal(json_array_get(list, i), value))
			return true;
	}
	return false;
}

static bool value_fits(const char *operator, const char * column, const json_t *own, const json_t *value,
		       bool *understood)
{
	int order;
	bool alike = compare(own, value, &order);

	if (!strcmp(operator, "@contains"))
		return list_has(own, value);
	if (!strcmp(operator, "@eq"))
		return alike && !order;
	if (!strcmp(operator, "@gte"))
		return alike && order >= 0;
	if (!strcmp(operator, "@lte"))
		return alike && order <= 0;
	if (!strcmp(operator, "@primarykey"))
		return !strcasecmp(column, "DOC_ID") && alike && !order;
	*understood = false;
	return false;
}

/* One of @eq, @contains, @gte, @lte, @primarykey with {"COLUMN": value, ...}. */
static bool leaf_holds(const struct document *d, const char *operator, json_t * columns_of, bool *understood)
{
	const char *column;
	json_t *value;
	bool holds = true;

	*understood = json_is_object(columns_of) && json_object_size(columns_of);
	json_object_foreach(columns_of, column, value)
	{
		json_t *own = value_of(d, column);

		if (own)
			holds = value_fits(operator, column, own, value, understood) && holds;
		else
			*understood = false;
		json_decref(own);
	}
	return holds;
}

static bool filter_holds(const struct document *d, json_t *filter, int depth, bool *understood);

static bool list_holds(const struct document *d, json_t *list, bool all, int depth, bool *understood)
{
	bool holds = all, one;

	*understood = json_is_array(list) && json_array_size(list);
	for (size_t i = 0; *understood && i < json_array_size(list); i++) {
		one = filter_holds(d, json_array_get(list, i), depth + 1, understood);
		holds = all ? holds && one : holds || one;
	}
	return holds;
}

static bool filter_holds(const struct document *d, json_t *filter, int depth, bool *understood)
{
	const char *operator;
	json_t *value;

	*understood = json_is_object(filter) && json_object_size(filter) == 1 && depth < FILTER_DEPTH;
	if (!*understood)
		return false;
	operator= json_object_iter_key(json_object_iter(filter));
	value = json_object_get(filter, operator);
	if (!strcmp(operator, "@and") || !strcmp(operator, "@or"))
		return list_holds(d, value, !strcmp(operator, "@and"), depth, understood);
	if (!strcmp(operator, "@not"))
		return !filter_holds(d, value, depth + 1, understood);
	return leaf_holds(d, operator, value, understood);
}

/* ---- the answer ---- */

static int score_of(const struct document *d, const char *query)
{
	char word[64];
	int score = 0;

	for (const char *p = query; *p;) {
		size_t n = strcspn(p, " \t\n");

		if (n > 2 && n < sizeof(word)) {
			memcpy(word, p, n);
			word[n - (word[n - 1] == 's')] = 0;
			score += cortex_mentions(d->title, word) + cortex_mentions(d->doc, word);
		}
		p += n + (p[n] != 0);
	}
	return score;
}

/* Without "columns" only the one that is searched. False when a column is not there. */
static bool result_fill(json_t *result, const struct document *d, const json_t *wanted)
{
	for (size_t i = 0; i < json_array_size(wanted); i++) {
		const char *column = json_string_value(json_array_get(wanted, i));
		json_t *value = column ? value_of(d, column) : NULL;

		if (!value)
			return false;
		json_object_set_new(result, column, value);
	}
	if (!json_array_size(wanted))
		json_object_set_new(result, "DOC", value_of(d, "DOC"));
	return true;
}

/* The order of the documents by score; equal ones as they are. */
static void rank(const char *query, size_t order[ARRAY_LEN(documents)], int scores[ARRAY_LEN(documents)])
{
	for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
		size_t k = i;

		scores[i] = score_of(&documents[i], query);
		while (k > 0 && scores[order[k - 1]] < scores[i]) {
			order[k] = order[k - 1];
			k--;
		}
		order[k] = i;
	}
}

/* NULL, a new reference: what fits. *why is set when the request is not understood. */
static json_t *results_of(const struct cortex_call *call, const char *query, int64_t limit, const char **why)
{
	json_t *filter = json_object_get(call->body, "filter"), *results = json_array(), *one;
	size_t order[ARRAY_LEN(documents)];
	int scores[ARRAY_LEN(documents)];
	bool understood = true, holds;

	rank(query, order, scores);
	for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
		const struct document *d = &documents[order[i]];

		one = json_object();
		if (!result_fill(one, d, json_object_get(call->body, "columns")))
			*why = "A column of the request is not a column of the service.";
		holds = !filter || !json_object_size(filter) || filter_holds(d, filter, 0, &understood);
		if (!understood)
			*why = "The filter is not understood.";
		json_object_set_new(one, "@scores",
				    json_pack("{s:f,s:f}", "cosine_similarity", 0.5 + scores[order[i]] / 20.0,
					      "text_match", scores[order[i]] / 10.0));
		if (holds && !*why && (int64_t)json_array_size(results) < limit)
			json_array_append(results, one);
		json_decref(one);
	}
	return results;
}

static bool columns_are_texts(const json_t *wanted)
{
	for (size_t i = 0; i < json_array_size(wanted); i++) {
		if (!json_is_string(json_array_get(wanted, i)))
			return false;
	}
	return !wanted || json_is_array(wanted);
}

void search_serve(const struct cortex_call *call)
{
	const json_t *filter = json_object_get(call->body, "filter"), *limit_of = json_object_get(call->body, "limit");
	int64_t limit = limit_of ? json_integer_value(limit_of) : LIMIT_DEFAULT;
	const char *query = json_text_of(call->body, "query"), *why = NULL;
	json_t *results;

	if (!cortex_has(call->cortex, call->object)) {
		cortex_missing(call, "Cortex search service", call->object);
		return;
	}
	if (!query)
		why = "query is missing.";
	else if ((filter && !json_is_object(filter)) || !columns_are_texts(json_object_get(call->body, "columns")))
		why = "filter is not an object, or columns is not a list of names.";
	else if (limit < 1 || limit > LIMIT_MAX)
		why = "limit is not a number from 1 to 1000.";
	results = why ? NULL : results_of(call, query, limit, &why);
	if (why) {
		json_decref(results);
		cortex_bad(call, why);
		return;
	}
	reply_json(call->exchange, 200, json_pack("{s:o,s:s}", "results", results, "request_id", call->request_id));
}
