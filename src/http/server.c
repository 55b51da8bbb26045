/* MHD's callbacks: a request is judged by its head, collected, given to the gateway and put to sleep until its answer.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "server.h"
#include "snowgate/log.h"
#include "snowgate/mail.h"
#include "snowgate/metric.h"

#define HEALTH_PATH "/healthz"

struct refusal {
	enum err err;
	const char *reason; /* label of http_refused */
	const char *message;
	const char *allow; /* for 405 */
};

static void note_refusal(struct peer *p, int status, const char *reason)
{
	metric_count(METRIC_http_refused, reason);
	log_event(LOG_INFO, "http_refused", log_text("request", p->id), log_text("peer", p->address),
		  log_number("status", status), log_text("reason", reason));
	p->close = true;
}

static void refuse(struct peer *p, struct refusal why)
{
	struct http *h = p->door->http;
	struct answer a;
	char message[256];

	if (p->rq && p->rq->result) {
		answer_no_result(&a, err_info(why.err)->http, why.err, why.message, p->id);
	} else {
		(void)snprintf(message, sizeof(message), "%s (request %s)", why.message, p->id);
		answer_init(&a, err_info(why.err)->http, "application/json");
		h->ops.refuse(h->ops.ctx, &a, why.err, message);
	}
	if (why.allow)
		answer_header(&a, "Allow", "%s", why.allow);
	if (why.err == ERR_OVERLOADED)
		answer_header(&a, "Retry-After", "1");
	note_refusal(p, a.status, why.reason);
	peer_answer(p, &a);
}

/* ---- checks of a clean head, in order; false: *r says why not ---- */

static bool is_health(const struct head *head)
{
	return slice_is(head->target, HEALTH_PATH);
}

static bool check_room(struct peer *p, const struct head *head, struct refusal *r)
{
	(void)head;
	*r = (struct refusal){ERR_OVERLOADED, "limit", "too many connections (listen.max_connections)", NULL};
	return !p->over;
}

/* The name of a whole result: its handle, and as what it is wanted. */
static void route_result(struct peer *p, struct slice target)
{
	static const char *const ends[] = {".csv", ".jsonl"};
	struct slice folder = results_folder(p->rq->conf);
	size_t before = folder.n + strlen(RESULTS_FOLDER);

	if (target.n <= before || memcmp(target.data, folder.data, folder.n) != 0 ||
	    memcmp(target.data + folder.n, RESULTS_FOLDER, strlen(RESULTS_FOLDER)) != 0)
		return;
	target = (struct slice){target.data + before, target.n - before};
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		size_t end = strlen(ends[i]);

		if (target.n <= end || memcmp(target.data + target.n - end, ends[i], end) != 0)
			continue;
		p->rq->result = arena_strndup(p->rq->arena, target.data, target.n - end);
		p->rq->jsonl = i == 1;
	}
}

static bool check_result(struct peer *p, struct refusal *r)
{
	p->rq->page = false;
	p->rq->is_head = p->is_head;
	if (p->is_head)
		p->rq->method = HTTP_GET; /* MHD leaves the body out */
	*r = (struct refusal){ERR_METHOD, "route", "a result takes GET and HEAD", "GET, HEAD, OPTIONS"};
	if (p->rq->method != HTTP_GET && p->rq->method != HTTP_OPTIONS)
		return false;
	/* There the end of the connection is the end of the answer, also of one that broke. */
	*r = (struct refusal){
	    ERR_HTTP_VERSION, "route",
	    "a result is sent by HTTP/1.1, where a broken one shows; in nginx: proxy_http_version 1.1", NULL};
	return !p->old_version;
}

static bool check_route(struct peer *p, const struct head *head, struct refusal *r)
{
	if (p->rq->result)
		return check_result(p, r);
	if (is_health(head)) {
		*r = (struct refusal){ERR_METHOD, "route", HEALTH_PATH " takes GET and HEAD", "GET, HEAD"};
		return p->rq->method == HTTP_GET || p->is_head;
	}
	if (!slice_is(head->target, p->rq->conf->listen_path)) {
		*r = (struct refusal){ERR_NOT_FOUND, "route",
				      "there is nothing here; the MCP endpoint is at listen.path", NULL};
		return false;
	}
	*r = (struct refusal){ERR_METHOD, "route", "the MCP endpoint takes " CORS_METHODS, CORS_METHODS};
	return p->rq->method != HTTP_OTHER;
}

/* The health page says the same to everybody, and load balancers ask for it by address. */
static bool check_host(struct peer *p, const struct head *head, struct refusal *r)
{
	*r = (struct refusal){ERR_MISDIRECTED, "host",
			      "this host name is not served here; where it is one of yours, add it to "
			      "listen.allowed_hosts or set listen.public_url",
			      NULL};
	return is_health(head) || host_served(p->rq->conf, &p->door->http->site, p->local, head_get(head, "Host"));
}

static bool check_origin(struct peer *p, const struct head *head, struct refusal *r)
{
	struct slice origin = head_get(head, "Origin");

	*r = (struct refusal){ERR_FORBIDDEN, "origin",
			      "pages of this origin may not call; where it is one of yours, add it to "
			      "listen.allowed_origins",
			      NULL};
	if (!origin.data)
		return true;
	if (!origin_allowed(p->rq->conf, &p->door->http->site, origin))
		return false;
	p->origin = xstrndup(origin.data, origin.n);
	return true;
}

static bool check_media(struct peer *p, const struct head *head, struct refusal *r)
{
	struct slice type = head_get(head, "Content-Type"), encoding = head_get(head, "Content-Encoding");
	const char *end = type.n ? memchr(type.data, ';', type.n) : NULL;

	*r = (struct refusal){ERR_ENCODING, "media", "a request body may not be compressed (Content-Encoding)", NULL};
	if (encoding.data && !slice_is_nocase(encoding, "identity"))
		return false;
	*r = (struct refusal){ERR_MEDIA_TYPE, "media", "Content-Type must be application/json", NULL};
	if (end)
		type.n = (size_t)(end - type.data);
	return p->rq->method != HTTP_POST || slice_is_nocase(slice_trim(type), "application/json");
}

/* Hygiene has seen to it that this is a number of at most 18 digits. */
static int64_t content_length(const struct head *head)
{
	struct slice s = head_get(head, "Content-Length");
	int64_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n = n * 10 + (s.data[i] - '0');
	return n;
}

static const struct refusal too_large = {ERR_TOO_LARGE, "size",
					 "the request body is larger than this gateway takes (listen.max_body)", NULL};
static const struct refusal no_room = {ERR_OVERLOADED, "limit", "too many request bodies at once; try again shortly",
				       NULL};

static bool check_size(struct peer *p, const struct head *head, struct refusal *r)
{
	*r = too_large;
	if (content_length(head) > p->rq->conf->listen_max_body)
		return false;
	*r = no_room;
	return p->door->http->bodies + (size_t)content_length(head) <= BODIES_MAX;
}

typedef bool check_f(struct peer *p, const struct head *head, struct refusal *r);

static bool passes(struct peer *p, const struct head *head, check_f *const *checks, size_t n)
{
	struct refusal r;

	for (size_t i = 0; i < n; i++) {
		if (!checks[i](p, head, &r)) {
			refuse(p, r);
			return false;
		}
	}
	return true;
}

static bool authenticate(struct peer *p)
{
	struct http *h = p->door->http;
	struct answer refusal;

	answer_init(&refusal, err_info(ERR_UNAUTHORIZED)->http, "application/json");
	if (h->ops.head(h->ops.ctx, p->rq, &refusal)) {
		answer_free(&refusal);
		return true;
	}
	note_refusal(p, refusal.status, "auth");
	peer_answer(p, &refusal);
	return false;
}

/* ---- answers that need no gateway ---- */

static void answer_health(struct peer *p)
{
	struct answer a;

	answer_init(&a, 200, "text/plain; charset=utf-8");
	buf_adds(&a.body, "ok\n");
	peer_answer(p, &a);
}

/* Before authentication: a browser's preflight carries no credentials. */
static void answer_options(struct peer *p, const struct head *head)
{
	struct slice requested = head_get(head, "Access-Control-Request-Headers");
	struct buf names = buf_with_ceiling(2 * CONNECTION_MEMORY);
	struct answer a;

	answer_init(&a, 204, NULL);
	answer_header(&a, "Allow", CORS_METHODS);
	if (p->origin) {
		answer_header(&a, "Access-Control-Allow-Methods", CORS_METHODS);
		answer_header(&a, "Access-Control-Max-Age", "600");
	}
	peer_answer(p, &a);
	if (p->origin && cors_allowed_headers(&names, requested))
		(void)MHD_add_response_header(p->response, "Access-Control-Allow-Headers", buf_text(&names));
	buf_free(&names);
}

/* ---- the exchange ---- */

static void exchange_begin(struct peer *p, const char *method, const char *version)
{
	p->rq = request_new(p->door->http->conf, REQUEST_ARENA);
	memcpy(p->id, p->rq->id, sizeof(p->id));
	p->is_head = strcmp(method, "HEAD") == 0;
	p->old_version = strcmp(version, "HTTP/1.0") == 0;
	peer_phase(p, PHASE_BODY);
}

static void request_drop(struct peer *p)
{
	request_free(p->rq);
	p->rq = NULL;
	p->door->http->bodies -= p->charged;
	p->charged = 0;
}

static void exchange_end(struct peer *p)
{
	struct http *h = p->door->http;

	request_drop(p);
	if (p->handle) /* MHD was the first to see the client leave */
		peer_depart(p);
	stream_close(p);
	if (p->response)
		MHD_destroy_response(p->response);
	free(p->origin);
	h->taken_n -= p->taken;
	memset(&p->target_n, 0, sizeof(*p) - offsetof(struct peer, target_n));
	peer_phase(p, PHASE_IDLE);
}

/* A decided answer waits until the client has sent what it announced; a client that waits for "100 Continue", or that
 * has more to say than we would listen to, gets it at once. */
static enum MHD_Result drain(struct peer *p, const struct head *head)
{
	request_drop(p);
	peer_phase(p, PHASE_DRAIN);
	if (p->close && (head_get(head, "Expect").data || content_length(head) > (int64_t)DRAIN_BYTES))
		return peer_respond(p);
	return MHD_YES;
}

/* Nothing after a head like this can be trusted, not even where its body ends. */
static enum MHD_Result refuse_head(struct peer *p, const char *fault)
{
	refuse(p, (struct refusal){ERR_BAD_REQUEST, "hygiene", fault, NULL});
	request_drop(p);
	return peer_respond(p);
}

static enum MHD_Result on_head(struct peer *p, const char *target, const char *method, const char *version)
{
	static check_f *const before[] = {check_room, check_route, check_host, check_origin};
	static check_f *const after[] = {check_media, check_size};
	const char *fault = p->target_fault;
	struct head head;

	exchange_begin(p, method, version);
	head_collect(&head, p, target, method, version);
	if (fault || (fault = hygiene_fault(&head)))
		return refuse_head(p, fault);
	head_to_request(&head, p, method, p->rq);
	route_result(p, head.target); /* first, since its refusals have a form of their own */
	if (!passes(p, &head, before, ARRAY_LEN(before)))
		return drain(p, &head);
	if (is_health(&head)) {
		answer_health(p);
		return drain(p, &head);
	}
	if (p->rq->method == HTTP_OPTIONS) {
		answer_options(p, &head);
		return drain(p, &head);
	}
	if (!authenticate(p) || !passes(p, &head, after, ARRAY_LEN(after)))
		return drain(p, &head);
	return MHD_YES;
}

static void refuse_body(struct peer *p, struct refusal why)
{
	refuse(p, why);
	request_drop(p);
	peer_phase(p, PHASE_DRAIN);
}

static enum MHD_Result on_body(struct peer *p, const char *data, size_t n)
{
	struct http *h = p->door->http;

	if (p->phase == PHASE_DRAIN) {
		p->discarded += n;
		if (p->discarded <= DRAIN_BYTES)
			return MHD_YES;
		p->close = true;
		peer_respond_raw(p);
		return MHD_NO;
	}
	if (p->phase != PHASE_BODY)
		return MHD_NO;
	if (p->rq->body.n + n > (size_t)p->rq->conf->listen_max_body || !buf_add(&p->rq->body, data, n)) {
		refuse_body(p, too_large);
	} else if (h->bodies + n > BODIES_MAX) {
		refuse_body(p, no_room);
	} else {
		h->bodies += n;
		p->charged += n;
	}
	return MHD_YES;
}

/* Whole: to the gateway, and to sleep. The answer may come at once, or by mail in a later turn of the loop: nobody but
 * this thread can wake the connection before it sleeps. */
static enum MHD_Result take(struct peer *p)
{
	struct http *h = p->door->http;

	if (p->gone || h->stopping)
		return MHD_NO;
	p->handle = handle_add(h->exchanges, p);
	if (!p->handle) {
		refuse_body(p, no_room);
		return peer_respond(p);
	}
	p->taken = true;
	h->taken_n++;
	peer_phase(p, PHASE_TAKEN);
	h->ops.request(h->ops.ctx, p->handle, TAKE(p->rq));
	if (p->response)
		return peer_respond(p);
	MHD_suspend_connection(p->connection);
	p->parked = true;
	return MHD_YES;
}

/* The request has come in, or its connection was woken. */
static enum MHD_Result on_end(struct peer *p)
{
	if (p->response && !p->stream.cut)
		return peer_respond(p);
	return p->phase == PHASE_BODY ? take(p) : MHD_NO;
}

enum MHD_Result server_request(void *door, struct MHD_Connection *c, const char *target, const char *method,
			       const char *version, const char *data, size_t *n, void **context)
{
	struct peer *p = *context;
	size_t given = *n;

	OWNED_BY(THREAD_NET);
	(void)door;
	if (!p) {
		p = *context = peer_of(c);
		return on_head(p, target, method, version);
	}
	CHECK(p, PEER_MAGIC);
	p->door->http->advanced |= given > 0;
	*n = 0;
	return given ? on_body(p, data, given) : on_end(p);
}

/* The request line is there, unparsed: MHD cuts it afterwards. */
void *server_target(void *door, const char *target, struct MHD_Connection *c)
{
	struct peer *p = peer_of(c);

	(void)door;
	p->target_n = strlen(target);
	p->target_fault = hygiene_target_fault((struct slice){target, p->target_n});
	return NULL;
}

void server_completed(void *door, struct MHD_Connection *c, void **context, enum MHD_RequestTerminationCode code)
{
	(void)door, (void)code;
	*context = NULL;
	exchange_end(peer_of(c));
}
