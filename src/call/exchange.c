/* A request and its answer as plain data: made, filled in and ended here, whatever transport they travel on. */
#include "snowgate/exchange.h"

#include <stdio.h>
#include <string.h>

#include "snowgate/crypt.h"
#include "snowgate/json.h"
#include "snowgate/wheel.h"

static void body_free(void *body)
{
	buf_free(body);
}

static void id_make(char id[20])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t random[8];

	crypt_random(random, sizeof(random));
	id[0] = 'r';
	for (size_t i = 0; i < sizeof(random); i++) {
		id[1 + 2 * i] = digits[random[i] >> 4];
		id[2 + 2 * i] = digits[random[i] & 15];
	}
	id[1 + 2 * sizeof(random)] = '\0';
}

struct slice results_folder(const struct conf *conf)
{
	const char *last = strrchr(conf->listen_path, '/');

	return last ? (struct slice){conf->listen_path, (size_t)(last + 1 - conf->listen_path)} : slice_of("/");
}

struct request *request_new(const struct conf *conf, size_t arena_ceiling)
{
	struct arena *arena = arena_new(arena_ceiling);
	struct request *rq = arena_alloc(arena, sizeof(*rq));
	bool attached;

	assert(rq); /* the ceiling of a request's arena holds the request at least */
	rq->arena = arena;
	rq->conf = conf;
	rq->method = HTTP_OTHER;
	rq->born = clock_now();
	rq->body = buf_with_ceiling((size_t)conf->listen_max_body);
	id_make(rq->id);
	attached = arena_attach(arena, &rq->body, body_free);
	assert(attached);
	(void)attached;
	return rq;
}

/* Heads are at most a few KiB, and a request's arena holds megabytes: none of this can fail. */
static void headers_copy(struct arena *a, const struct request *from, struct request *to)
{
	const struct mcp_headers *h = &from->mcp;

	to->accept = arena_strdup(a, from->accept);
	to->base = arena_strdup(a, from->base);
	to->user_agent = arena_strdup(a, from->user_agent);
	to->traceparent = arena_strdup(a, from->traceparent);
	to->tracestate = arena_strdup(a, from->tracestate);
	to->baggage = arena_strdup(a, from->baggage);
	to->mcp = (struct mcp_headers){.protocol_version = arena_strdup(a, h->protocol_version),
				       .session_id = arena_strdup(a, h->session_id),
				       .none = h->none};
}

struct request *request_copy(const struct request *rq, struct slice body)
{
	struct request *copy = request_new(rq->conf, arena_ceiling(rq->arena));

	headers_copy(copy->arena, rq, copy);
	copy->method = rq->method;
	copy->local = rq->local;
	copy->principal = rq->principal;
	copy->policy = rq->policy;
	memcpy(copy->peer, rq->peer, sizeof(copy->peer));
	buf_add(&copy->body, body.data, body.n);
	return copy;
}

void request_free(struct request *rq)
{
	if (rq)
		arena_free(rq->arena);
}

void answer_init(struct answer *a, int status, const char *content_type)
{
	memset(a, 0, sizeof(*a));
	a->status = status;
	a->content_type = content_type;
	a->body = buf_with_ceiling(ANSWER_BODY_MAX);
}

void answer_no_result(struct answer *a, int status, enum err err, const char *message, const char *request)
{
	answer_init(a, status, "application/json");
	buf_addf(&a->body, "{\"error\":{\"code\":\"%s\",\"message\":", err_info(err)->name);
	json_write_string(&a->body, message, strlen(message));
	buf_addf(&a->body, ",\"request\":\"%s\"}}", request);
}

void answer_header(struct answer *a, const char *name, const char *format, ...)
{
	va_list args;
	int n;

	assert(a->headers_n < ANSWER_HEADERS);
	va_start(args, format);
	n = vsnprintf(a->headers[a->headers_n].value, sizeof(a->headers[0].value), format, args);
	va_end(args);
	assert(n >= 0 && (size_t)n < sizeof(a->headers[0].value));
	(void)n;
	a->headers[a->headers_n++].name = name;
}

void answer_free(struct answer *a)
{
	buf_free(&a->body);
	memset(a, 0, sizeof(*a));
}
