/* to: "file": a result is not shown but named, by the addresses under which its owner downloads all of it. */
#include "tools_internal.h"

#include <string.h>

#define NAMES_SHOWN 50 /* columns */

bool file_wanted(const struct call *c)
{
	const char *to = json_text_of(c->arguments, "to");

	return to && strcmp(to, "file") == 0 && !json_bool_of(c->arguments, "dry_run", false);
}

bool file_possible(struct call *c)
{
	if (c->request->conf->listen_public_url[0] || c->request->base)
		return true;
	tool_error(c, ERR_INVALID_PARAMS, NULL, NULL,
		   "to: there is nothing to download from over standard input and output; leave `to` out and page with "
		   "get_result");
	return false;
}

/* The folder of the endpoint, as clients see it: what is before its last segment. */
static void folder_add(struct buf *b, const struct request *rq)
{
	const char *url = rq->conf->listen_public_url, *host = strstr(url, "://"), *last;
	struct slice folder = results_folder(rq->conf);

	if (!host) {
		buf_adds(b, rq->base);
		buf_add(b, folder.data, folder.n);
		return;
	}
	last = strrchr(host + 3, '/');
	if (last)
		buf_add(b, url, (size_t)(last + 1 - url));
	else
		buf_addf(b, "%s/", url);
}

static void url_add(struct buf *b, const struct call *c, const char *handle, const char *kind)
{
	folder_add(b, c->request);
	buf_addf(b, RESULTS_FOLDER "%s.%s", handle, kind);
}

static void columns_add(struct buf *b, const struct statement *s)
{
	buf_addf(b, "%zu column%s: ", s->columns_n, s->columns_n == 1 ? "" : "s");
	for (size_t i = 0; i < s->columns_n && i < NAMES_SHOWN; i++)
		buf_addf(b, "%s%s", i ? ", " : "", s->columns[i].name);
	buf_adds(b, s->columns_n > NAMES_SHOWN ? ", ...\n" : "\n");
}

static void answer_text(struct call *c, const struct statement *s, const char *handle)
{
	struct buf *b = &c->answer.text;

	buf_addf(b, "%zu row%s, not shown; ", s->total_rows, s->total_rows == 1 ? "" : "s");
	columns_add(b, s);
	buf_adds(b, "All of it, for 24 hours, with GET and the Authorization of this endpoint:\n");
	url_add(b, c, handle, "csv");
	buf_addc(b, '\n');
	url_add(b, c, handle, "jsonl");
}

static void url_member(struct buf *b, const struct call *c, const char *handle, const char *kind)
{
	struct buf url = buf_with_ceiling(8192);

	url_add(&url, c, handle, kind);
	buf_addf(b, "\"%s\":", kind);
	json_write_string(b, buf_text(&url), url.n);
	buf_free(&url);
}

static void answer_json(struct call *c, const struct statement *s, const char *handle)
{
	struct buf *b = &c->answer.structured;

	buf_adds(b, "{\"columns\":");
	columns_write(b, s->columns, s->columns_n);
	buf_addf(b, ",\"totalRows\":%zu,\"files\":{", s->total_rows);
	url_member(b, c, handle, "csv");
	buf_addc(b, ',');
	url_member(b, c, handle, "jsonl");
	buf_adds(b, "},\"statementHandle\":");
	json_write_string(b, handle, strlen(handle));
	buf_addf(b, ",\"queryId\":\"%s\",\"status\":\"complete\"}", s->handle);
	buf_add(&c->answer.text, buf_text(b), b->n);
}

bool answer_file(struct call *c, const struct statement *s)
{
	const char *handle = statement_handle_text(c, s);

	if (c->format == ROWS_JSON)
		answer_json(c, s, handle);
	else
		answer_text(c, s, handle);
	return !buf_failed(&c->answer.text);
}

/* ---- the download ---- */

/* A statement that is somebody else's is none. */
int plan_export(struct call *c)
{
	const struct request *rq = c->request;
	char query_id[64];
	struct statement *s;

	c->fault = (struct mcp_fault){ERR_NOT_FOUND, "no such result; use the address as execute_query gave it", NULL};
	if (!rq->policy->connection || !handle_opens(c, slice_of(rq->result), query_id))
		return ERR_NOT_FOUND;
	c->fault = (struct mcp_fault){0};
	c->format = rq->jsonl ? ROWS_JSONL : ROWS_CSV;
	c->budget = (struct rows_budget){rq->is_head ? 0 : SIZE_MAX, SIZE_MAX, SIZE_MAX};
	s = plan_add(c, STATEMENT_ATTACH, NULL, &c->context);
	if (!s) {
		c->fault = (struct mcp_fault){ERR_NOMEM, NULL, NULL};
		return ERR_NOMEM;
	}
	s->whole = !rq->is_head;
	memcpy(s->handle, query_id, sizeof query_id);
	return ERR_OK;
}
