/* exchange.h
 *
 * One HTTP request and its answer as plain data, between the transport that carries them and the gateway that does not
 * know which transport it was.
 */
#ifndef SNOWGATE_EXCHANGE_H
#define SNOWGATE_EXCHANGE_H

#include "snowgate/arena.h"
#include "snowgate/conf.h"
#include "snowgate/handle.h"
#include "snowgate/mcp.h"

enum http_method { HTTP_GET, HTTP_POST, HTTP_DELETE, HTTP_OPTIONS, HTTP_OTHER };

/* What came. Lives in its arena, which becomes the call's: whoever holds the request holds all of it and ends it with
 * request_free(). Header texts: outer white space removed, NULL when absent, never given twice. */
struct request {
	struct arena *arena;
	const struct conf *conf; /* the snapshot this request is served under */
	enum http_method method;
	const char *authorization, *content_type, *accept, *origin, *user_agent;
	const char *traceparent, *tracestate, *baggage;
	struct mcp_headers mcp;
	const char *base;   /* "http://HOST:PORT" as the client wrote it; NULL: it did not come by HTTP */
	const char *result; /* GET or HEAD of a whole result: its handle; NULL: a request to the endpoint */
	bool jsonl;         /* and as what */
	bool is_head;
	bool local;    /* the other end is the user who started this process */
	bool page;     /* a browser asks for the page at the endpoint: nobody is authenticated */
	bool proxied;  /* X-Forwarded-*, Forwarded or Via was there */
	char peer[64]; /* address of the other end */
	char id[20];   /* X-Request-Id of the answer: "r" and 16 hex digits */
	usec_t born;
	struct principal principal; /* filled by the head check */
	const struct policy *policy;
	struct buf body; /* attached to the arena; ceiling listen.max_body */
};
struct request *request_new(const struct conf *conf, size_t arena_ceiling); /* a fresh id; born now */
/* A request from the same client with another body and an id of its own: what calls look at (principal, policy, Accept,
 * the protocol's headers but Mcp-Method, Mcp-Name and Mcp-Param-*, trace context), sharing nothing but the snapshot. */
struct request *request_copy(const struct request *rq, struct slice body);
void request_free(struct request *rq);

/* Whole results are beside the endpoint: in the folder of listen.path, "/" for "/mcp", which ends with a slash. */
#define RESULTS_FOLDER "results/"
struct slice results_folder(const struct conf *conf);

/* What goes back. Header names and values are copied. */
#define ANSWER_HEADERS  8
#define ANSWER_BODY_MAX ((size_t)16 << 20) /* two forms of 1 MiB of rows, both escaped at worst */
struct answer {
	int status;
	const char *content_type; /* static text; NULL: no body */
	struct {
		const char *name;
		char value[256];
	} headers[ANSWER_HEADERS];
	size_t headers_n;
	struct buf body;
};
void answer_init(struct answer *a, int status, const char *content_type);
/* What a GET of a result is told where there is none: {"error":{"code","message","request"}}. Begins *a. */
void answer_no_result(struct answer *a, int status, enum err err, const char *message, const char *request);
/* Adds a header; a value over 255 bytes or a ninth header is a programmer's error. */
void answer_header(struct answer *a, const char *name, const char *format, ...) PRINTF_LIKE(3, 4);
void answer_free(struct answer *a);

#endif
