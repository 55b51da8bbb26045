/* Answers on their way out: the headers that each one carries, and the hand-over to MHD. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "server.h"
#include "snowgate/handle.h"
#include "snowgate/mail.h"
#include "snowgate/metric.h"

void count_status(int status)
{
	static const char *const classes[] = {"other", "other", "2xx", "other", "4xx", "5xx"};

	metric_count(METRIC_http_requests, classes[status >= 200 && status < 600 ? status / 100 : 0]);
}

static void put(struct MHD_Response *r, const char *name, const char *value)
{
	/* MHD refuses only a name or value with control characters, which no caller makes. */
	(void)MHD_add_response_header(r, name, value);
}

static void put_cors(struct MHD_Response *r, const char *origin)
{
	put(r, "Access-Control-Allow-Origin", origin);
	put(r, "Access-Control-Expose-Headers", CORS_EXPOSED);
	put(r, "Vary", "Origin");
}

static struct MHD_Response *response_of(struct answer *a)
{
	size_t n = 0;
	char *body = buf_take(&a->body, &n);

	if (!body)
		return MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
	return MHD_create_response_from_buffer(n, body, MHD_RESPMEM_MUST_FREE);
}

/* The answer's own headers win over the ones that every answer has. */
static bool has_header(const struct answer *a, const char *name)
{
	for (size_t i = 0; i < a->headers_n; i++) {
		if (strcasecmp(a->headers[i].name, name) == 0)
			return true;
	}
	return false;
}

static void put_unless(struct MHD_Response *r, const struct answer *a, const char *name, const char *value)
{
	if (!has_header(a, name))
		put(r, name, value);
}

/* Proxies neither change nor hold back what is in a stream. */
static void put_stream(struct MHD_Response *r, const struct answer *a)
{
	put(r, "Content-Type", a->content_type ? a->content_type : EVENT_STREAM);
	put_unless(r, a, "Cache-Control", "no-cache, no-transform");
	put_unless(r, a, "X-Accel-Buffering", "no");
}

/* A page has no scripts, loads nothing and tells nobody where it was opened. */
static void put_page(struct MHD_Response *r, const struct answer *a)
{
	put_unless(r, a, "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'");
	put_unless(r, a, "Referrer-Policy", "no-referrer");
}

static void put_headers(struct MHD_Response *r, const struct peer *p, const struct answer *a)
{
	if (p->stream.open)
		put_stream(r, a);
	else if (a->content_type)
		put(r, "Content-Type", a->content_type);
	if (!p->stream.open)
		put_unless(r, a, "Cache-Control", "no-store");
	if (!p->stream.open && slice_starts_nocase(slice_of(a->content_type), "text/html"))
		put_page(r, a);
	for (size_t i = 0; i < a->headers_n; i++)
		put(r, a->headers[i].name, a->headers[i].value);
	put(r, "X-Content-Type-Options", "nosniff");
	put(r, "X-Request-Id", p->id);
	if (p->origin)
		put_cors(r, p->origin);
}

void peer_answer(struct peer *p, struct answer *a)
{
	struct MHD_Response *r;

	assert(!p->response);
	if (buf_failed(&a->body))
		a->status = 500;
	p->status = a->status;
	r = p->stream.open ? stream_response(p) : response_of(a);
	if (!r)
		abort(); /* out of memory, as in xalloc() */
	put_headers(r, p, a);
	p->response = r;
	answer_free(a);
}

enum MHD_Result peer_respond(struct peer *p)
{
	struct MHD_Response *r = TAKE(p->response);
	enum MHD_Result result;

	if (p->close || p->door->http->off)
		put(r, "Connection", "close");
	count_status(p->status);
	if (!p->stream.open)
		peer_phase(p, PHASE_REPLY);
	result = MHD_queue_response(p->connection, (unsigned)p->status, r);
	MHD_destroy_response(r);
	return result;
}

/* MHD takes no answer between the head and the end of a body. A client that sends more than we are willing to throw
 * away is told the status all the same; MHD has not written a byte of this answer. */
void peer_respond_raw(struct peer *p)
{
	char text[160];
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.1 %d Refused\r\nConnection: close\r\nContent-Length: 0\r\nX-Request-Id: %s\r\n\r\n",
			 p->status, p->id);

	count_status(p->status);
	(void)!send(p->fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool http_answer(struct transport *t, handle_t exchange, struct answer *answer)
{
	struct http *h = http_of(t);
	struct peer *p;

	OWNED_BY(THREAD_NET);
	p = handle_get(h->exchanges, exchange);
	if (!p) {
		answer_free(answer);
		return false;
	}
	CHECK(p, PEER_MAGIC);
	assert(!p->stream.open);
	handle_drop(h->exchanges, exchange);
	p->handle = 0;
	peer_answer(p, answer);
	peer_resume(p);
	return true;
}
