/* The SNOWFLAKE thread: curl's multi loop, its pool of handles and connections, and the wire over them. */
#include "client.h"
#include "internal.h"

#include "snowgate/kill.h"
#include "snowgate/log.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#ifndef SNOWGATE_VERSION
#define SNOWGATE_VERSION "0"
#endif
#define IDLE_MAX      256 /* easy handles kept for reuse */
#define IDLE_WAIT_MS  1000
#define FETCH_BUFFER  (64 << 10) /* libcurl reads so much of each transfer in one turn */
#define SLOW_TURN     (20 * USEC_PER_MS)
#define STOP_PATIENCE (3 * USEC_PER_S)
#define STOP_LOOK_MS  100
#define LATE_AFTER    USEC_PER_S /* libcurl's own time limits come first */

/* One request with curl. The header list is kept with the handle, and made anew when the token is another. */
struct transfer {
	CURL *easy;
	struct wire_request *request;
	struct curl_slist *headers;
	char *bearer;
	bool own_headers; /* the list has lines that only one request has */
	char error[CURL_ERROR_SIZE];
	bool added;  /* curl's multi has it */
	bool failed; /* ended here, not by curl: told in the next turn, with `code` */
	CURLcode code;
	bool fed, due; /* more() is told; in this turn */
	bool held;
	bool streams; /* status 200, and there is a more(): looked up with the first byte of the body */
	bool looked;
	bool begun;            /* its request was sent once */
	struct timer late;     /* libcurl watches no request that still waits for a connection (7.88) */
	struct transfer *next; /* idle, or failed */
	struct transfer *next_fed;
};

/* owner: SNOWFLAKE, from snowflake_start() to snowflake_stop() */
static struct client {
	struct wire wire;
	CURLM *multi;
	struct wheel *wheel;
	struct transfer *idle, *failed, *fed, *told;
	size_t idle_n;
	bool stopping;
	pthread_t thread;
	struct mail stop;
} client;

/* ---- transfers ---- */

static void wipe_headers(struct transfer *t)
{
	for (struct curl_slist *h = t->headers; h; h = h->next)
		memset(h->data, 0, strlen(h->data));
	curl_slist_free_all(t->headers);
	t->headers = NULL;
	free(t->bearer);
	t->bearer = NULL;
}

static void transfer_free(struct transfer *t)
{
	curl_easy_cleanup(t->easy);
	wipe_headers(t);
	free(t);
}

static struct transfer *transfer_new(void)
{
	struct transfer *t = client.idle;

	if (t) {
		client.idle = t->next;
		client.idle_n--;
		curl_easy_reset(t->easy);
		return t;
	}
	t = xalloc(sizeof *t);
	t->easy = curl_easy_init();
	if (!t->easy)
		abort();
	return t;
}

static void transfer_rest(struct transfer *t)
{
	t->request = NULL;
	t->added = t->failed = t->begun = t->held = t->streams = t->looked = false;
	if (client.idle_n >= IDLE_MAX) {
		transfer_free(t);
		return;
	}
	t->next = client.idle;
	client.idle = t;
	client.idle_n++;
}

static void add_header(struct transfer *t, const char *line)
{
	struct curl_slist *list = curl_slist_append(t->headers, line);

	if (!list)
		abort();
	t->headers = list;
}

/* A token endpoint takes a form, and the client's credentials as libcurl sends them. */
static void set_token_headers(struct transfer *t)
{
	wipe_headers(t);
	add_header(t, "Accept: application/json");
	add_header(t, "Content-Type: application/x-www-form-urlencoded");
	add_header(t, "Expect:");
}

static void set_headers(struct transfer *t, const struct wire_request *rq)
{
	struct buf line = buf_with_ceiling(128 * 1024);

	if (rq->op == WIRE_TOKEN) {
		set_token_headers(t);
		return;
	}
	if (t->bearer && !strcmp(t->bearer, rq->bearer) && !t->own_headers && !rq->headers)
		return;
	wipe_headers(t);
	t->bearer = xstrdup(rq->bearer);
	buf_addf(&line, "Authorization: Bearer %s", rq->bearer);
	add_header(t, buf_text(&line));
	if (line.data)
		memset(line.data, 0, line.n);
	buf_clear(&line);
	buf_addf(&line, "X-Snowflake-Authorization-Token-Type: %s", rq->token_type);
	add_header(t, buf_text(&line));
	t->own_headers = rq->headers;
	for (const char *const *h = rq->headers; h && *h; h++)
		add_header(t, *h);
	if (!rq->headers)
		add_header(t, "Accept: application/json");
	add_header(t, "Content-Type: application/json");
	add_header(t, "Expect:");
	buf_free(&line);
}

static void fed_join(struct transfer *t)
{
	if (t->fed)
		return;
	t->fed = true;
	t->next_fed = client.fed;
	client.fed = t;
}

static void fed_leave(struct transfer *t)
{
	struct transfer **at = t->due ? &client.told : &client.fed;

	if (!t->fed)
		return;
	while (*at != t)
		at = &(*at)->next_fed;
	*at = t->next_fed;
	t->fed = t->due = false;
}

/* It ends with the next turn, whatever libcurl makes of it. */
static void transfer_fail(struct transfer *t, CURLcode code)
{
	if (t->failed)
		return;
	t->failed = true;
	t->code = code;
	t->next = client.failed;
	client.failed = t;
}

/* Is the answer one that is taken as it comes, and how? */
static void look(struct transfer *t, struct wire_request *rq)
{
	struct curl_header *encoding;
	long status = 0, version = 0;

	t->looked = true;
	if (!rq->more)
		return;
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(t->easy, CURLINFO_HTTP_VERSION, &version);
	t->streams = status == 200;
	rq->status = (int)status;
	rq->shared = version >= CURL_HTTP_VERSION_2_0;
	rq->gzip = curl_easy_header(t->easy, "Content-Encoding", 0, CURLH_HEADER, -1, &encoding) == CURLHE_OK &&
		   (!strcasecmp(encoding->value, "gzip") || !strcasecmp(encoding->value, "x-gzip") ||
		    !strcasecmp(encoding->value, "deflate"));
}

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
	struct transfer *t = user;
	struct wire_request *rq = t->request;

	if (t->failed)
		return 0;
	if (!t->looked)
		look(t, rq);
	if (t->streams && !rq->shared && rq->answer.n > 0 && rq->answer.n + size * n > rq->window) {
		t->held = true;
		fed_join(t);
		return CURL_WRITEFUNC_PAUSE;
	}
	if (results_take(size * n))
		rq->held += size * n;
	else if (t->streams || rq->answer.n + size * n > STATUS_BODY) /* a statement's handle has room in any case */
		return 0;
	if (t->streams)
		fed_join(t);
	return buf_add(&rq->answer, data, size * n) ? size * n : 0;
}

/* Before a request is sent, and again before libcurl repeats one by itself, which it does where a reused connection
 * ends before any answer. What a POST asked for may have been executed then: whether it is sent again is ours to say.
 */
static int on_request(void *user, char *remote_ip UNUSED, char *local_ip UNUSED, int remote_port UNUSED,
		      int local_port UNUSED)
{
	struct transfer *t = user;
	bool again = t->begun && t->request->post;

	t->begun = true;
	return again ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static void set_url(struct transfer *t, const struct wire_request *rq)
{
	const struct connection *connection = rq->connection;
	struct buf url = buf_with_ceiling(4096);

	if (rq->op == WIRE_TOKEN) {
		curl_easy_setopt(t->easy, CURLOPT_URL, rq->url);
		curl_easy_setopt(t->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(t->easy, CURLOPT_USERPWD, rq->basic);
		return;
	}
	buf_addf(&url, "%s://%s:%lld%s", connection->protocol, connection->host, (long long)connection->port, rq->path);
	curl_easy_setopt(t->easy, CURLOPT_URL, buf_text(&url));
	buf_free(&url);
}

static bool is_plain(const struct wire_request *rq)
{
	return rq->op == WIRE_TOKEN ? !strncmp(rq->url, "http://", 7) : !strcmp(rq->connection->protocol, "http");
}

static void set_limits(CURL *easy, const struct wire_request *rq)
{
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(rq->connect_timeout / USEC_PER_MS));
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(rq->timeout / USEC_PER_MS));
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, is_plain(rq) ? "http" : "https");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, is_plain(rq) ? CURLPROTO_HTTP : CURLPROTO_HTTPS);
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
	/* Without it a name look-up that hangs holds up the loop when its transfer ends. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
}

/* The connection's own proxy; without one libcurl looks at $https_proxy and $no_proxy. */
static void set_proxy(CURL *easy, const struct connection *c)
{
	if (c->no_proxy)
		curl_easy_setopt(easy, CURLOPT_NOPROXY, c->no_proxy);
	if (!c->proxy_host)
		return;
	curl_easy_setopt(easy, CURLOPT_PROXY, c->proxy_host);
	curl_easy_setopt(easy, CURLOPT_PROXYPORT, (long)c->proxy_port);
	curl_easy_setopt(easy, CURLOPT_PROXYTYPE, (long)CURLPROXY_HTTP);
	if (c->proxy_user) {
		curl_easy_setopt(easy, CURLOPT_PROXYUSERNAME, c->proxy_user);
		curl_easy_setopt(easy, CURLOPT_PROXYPASSWORD, c->proxy_password ? c->proxy_password : "");
	}
}

void client_set_security(CURL *easy, const struct connection *c)
{
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	if (c->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, c->ca_file);
	set_proxy(easy, c);
}

/* All of a body that is given as a whole has gone out when libcurl tells of it. */
static int on_sent(CURL *easy UNUSED, curl_infotype type, char *data UNUSED, size_t n UNUSED, void *user UNUSED)
{
	if (type == CURLINFO_DATA_OUT)
		KILL_POINT(post_sent);
	return 0;
}

static void set_kill_point(CURL *easy, const struct wire_request *rq)
{
	if (!KILL_ARMED(post_sent) || rq->op != WIRE_SUBMIT || !strstr(rq->path, "retry=true"))
		return;
	curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
	curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_sent);
}

static void set_options(struct transfer *t, struct wire_request *rq)
{
	CURL *easy = t->easy;

	set_url(t, rq);
	set_headers(t, rq);
	set_limits(easy, rq);
	client_set_security(easy, rq->connection);
	/* A stream of HTTP/2 that is held keeps up to 32 MiB of others' and its own bytes in libcurl (7.88). */
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
			 rq->op == WIRE_FETCH ? (long)CURL_HTTP_VERSION_1_1 : (long)CURL_HTTP_VERSION_2TLS);
	if (rq->op == WIRE_FETCH)
		curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)FETCH_BUFFER);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "snowgate/" SNOWGATE_VERSION);
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
	curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, rq->more ? 0L : 1L);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
	if (rq->post) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, buf_text(&rq->body));
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)rq->body.n);
	} else {
		curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	}
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, t);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
	set_kill_point(easy, rq);
}

/* ---- the wire ---- */

static void on_late(struct timer *timer)
{
	struct transfer *t = container_of(timer, struct transfer, late);

	(void)snprintf(t->error, sizeof t->error, "%s",
		       t->begun ? "no answer came in time" : "no connection was free in time");
	transfer_fail(t, CURLE_OPERATION_TIMEDOUT);
}

static void wire_send(struct wire *w UNUSED, struct wire_request *rq)
{
	struct transfer *t = transfer_new();

	OWNED_BY(THREAD_SNOWFLAKE);
	t->request = rq;
	t->error[0] = '\0';
	rq->gzip = rq->shared = false;
	rq->transfer = t;
	set_options(t, rq);
	t->added = curl_multi_add_handle(client.multi, t->easy) == CURLM_OK;
	if (!t->added)
		transfer_fail(t, CURLE_FAILED_INIT);
	t->late.fire = on_late;
	if (rq->timeout > 0)
		timer_set(client.wheel, &t->late, clock_now() + rq->timeout + LATE_AFTER);
}

static void transfer_end(struct transfer *t)
{
	timer_stop(&t->late);
	fed_leave(t);
	if (t->added)
		curl_multi_remove_handle(client.multi, t->easy);
	transfer_rest(t);
}

static void wire_abort(struct wire *w UNUSED, struct wire_request *rq)
{
	struct transfer *t = rq->transfer;

	OWNED_BY(THREAD_SNOWFLAKE);
	rq->transfer = NULL;
	if (t->failed) {
		struct transfer **at = &client.failed;
		while (*at != t)
			at = &(*at)->next;
		*at = t->next;
	}
	transfer_end(t);
}

static void wire_resume(struct wire *w UNUSED, struct wire_request *rq)
{
	struct transfer *t = rq->transfer;

	OWNED_BY(THREAD_SNOWFLAKE);
	curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, 0L);
	timer_stop(&t->late);
	if (!t->held)
		return;
	t->held = false;
	/* It hands over what it kept. Where that is refused, libcurl goes on without those bytes. */
	if (curl_easy_pause(t->easy, CURLPAUSE_CONT) != CURLE_OK)
		transfer_fail(t, CURLE_WRITE_ERROR);
}

static void wire_move(struct wire *w UNUSED, struct wire_request *from, struct wire_request *to)
{
	struct transfer *t = from->transfer;

	OWNED_BY(THREAD_SNOWFLAKE);
	t->request = to;
	from->transfer = NULL;
}

static bool was_begun(CURL *easy)
{
	curl_off_t begun = 0;

	curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &begun);
	return begun > 0;
}

static enum wire_result code_result(CURL *easy, CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return WIRE_ANSWERED;
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_PROXY:
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_SSL_CONNECT_ERROR:
		return WIRE_REFUSED;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return WIRE_TLS;
	case CURLE_OPERATION_TIMEDOUT:
		return was_begun(easy) ? WIRE_TIMEOUT : WIRE_REFUSED;
	case CURLE_WRITE_ERROR:
		return WIRE_TOO_LARGE;
	case CURLE_ABORTED_BY_CALLBACK:
		return WIRE_BROKEN;
	default:
		return was_begun(easy) ? WIRE_BROKEN : WIRE_REFUSED;
	}
}

/* Refused is what cannot have been executed: the request was not sent. Where a POST was, and libcurl then failed to
 * connect anew because its connection had ended, it was. */
static enum wire_result result_of(const struct transfer *t, CURLcode code)
{
	enum wire_result result = t->added ? code_result(t->easy, code) : WIRE_REFUSED;

	if (t->begun && t->request->post && (result == WIRE_REFUSED || result == WIRE_TLS))
		result = WIRE_BROKEN;
	return result;
}

static const char *error_of(const struct transfer *t, CURLcode code)
{
	if (code == CURLE_ABORTED_BY_CALLBACK) /* by on_request(); libcurl has a text of its own for that */
		return "it was closed before an answer came";
	return t->error[0] ? t->error : curl_easy_strerror(code);
}

static void count_transfer(CURL *easy, CURLcode code)
{
	long version = 0, connects = 0;

	curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connects);
	if (connects > 0)
		metric_add(METRIC_upstream_connections, NULL, connects);
	if (code != CURLE_OK)
		return;
	curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
	metric_count(METRIC_upstream_protocol, version == CURL_HTTP_VERSION_2_0   ? "2"
					       : version == CURL_HTTP_VERSION_1_1 ? "1.1"
										  : "other");
}

static void finish(struct transfer *t, CURLcode code)
{
	struct wire_request *rq = t->request;
	long status = 0;
	curl_off_t retry_after = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &retry_after);
	count_transfer(t->easy, code);
	rq->result = result_of(t, code);
	rq->status = (int)status;
	rq->retry_after_s = retry_after > 0 ? (int64_t)retry_after : -1;
	(void)snprintf(rq->error, sizeof rq->error, "%.*s", (int)sizeof rq->error - 1, error_of(t, code));
	rq->transfer = NULL;
	transfer_end(t);
	rq->done(rq);
}

static void finish_all(void)
{
	struct transfer *t;
	CURLMsg *message;
	int left;

	while ((t = client.failed)) {
		client.failed = t->next;
		finish(t, t->code);
	}
	while ((message = curl_multi_info_read(client.multi, &left))) {
		CURLcode code = message->data.result;
		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		if (!t->failed)
			finish(t, code);
	}
}

/* What has come since the last turn; what comes while it is told waits for the next one. */
static void tell_all(void)
{
	struct transfer *t;

	for (t = client.fed; t; t = t->next_fed)
		t->due = true;
	client.told = TAKE(client.fed);
	while ((t = client.told)) {
		fed_leave(t);
		t->request->more(t->request);
	}
}

/* ---- the thread ---- */

static void turn(void)
{
	usec_t began = clock_now();
	int running;

	(void)mail_deliver(THREAD_SNOWFLAKE);
	(void)curl_multi_perform(client.multi, &running);
	tell_all();
	finish_all();
	(void)wheel_run(client.wheel, clock_now());
	if (clock_now() - began <= SLOW_TURN)
		return;
	metric_count(METRIC_slow_turns, NULL);
	log_event(LOG_DEBUG, "slow_turn", log_text("thread", thread_name(THREAD_SNOWFLAKE)),
		  log_number("ms", (clock_now() - began) / USEC_PER_MS));
}

void client_wait(void)
{
	int wait = client.failed || client.fed ? 0 : wheel_wait(client.wheel, clock_now(), IDLE_WAIT_MS);

	(void)curl_multi_poll(client.multi, NULL, 0, wait, NULL);
	turn();
}

/* At the stop only what must not be lost is waited for; nobody's mail is read any more. */
static void wait_for_refresh_tokens(void)
{
	usec_t until = clock_now() + STOP_PATIENCE;
	int running;

	while (token_stop() && clock_now() < until) {
		(void)curl_multi_poll(client.multi, NULL, 0, STOP_LOOK_MS, NULL);
		(void)curl_multi_perform(client.multi, &running);
		finish_all();
	}
}

static void run(void *arg UNUSED)
{
	while (!client.stopping)
		client_wait();
	jobs_abandon(); /* no mail comes any more to what they free */
	wait_for_refresh_tokens();
}

static void wake(void *multi)
{
	(void)curl_multi_wakeup(multi);
}

static bool open_multi(const struct conf *conf)
{
	long most = (long)conf->snowflake_max_connections;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(client.multi = curl_multi_init()))
		return false;
	curl_multi_setopt(client.multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	curl_multi_setopt(client.multi, CURLMOPT_MAXCONNECTS, most);
	curl_multi_setopt(client.multi, CURLMOPT_MAX_HOST_CONNECTIONS, most);
	curl_multi_setopt(client.multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, most);
	return true;
}

bool client_open(const struct conf *conf, const struct snowflake_ops *ops, char *why, size_t why_size)
{
	client = (struct client){.wire = {wire_send, wire_abort, wire_resume, wire_move}};
	if (!open_multi(conf)) {
		(void)snprintf(why, why_size, "libcurl cannot be initialized");
		return false;
	}
	client.wheel = wheel_new();
	snowflake_open(conf, ops, &client.wire, client.wheel);
	return true;
}

void client_close(void)
{
	snowflake_close();
	while (client.idle) {
		struct transfer *t = client.idle;
		client.idle = t->next;
		transfer_free(t);
	}
	(void)curl_multi_cleanup(client.multi);
	wheel_free(client.wheel);
	curl_global_cleanup();
}

bool snowflake_start(const struct conf *conf, const struct snowflake_ops *ops, char *why, size_t why_size)
{
	if (!client_open(conf, ops, why, why_size))
		return false;
	mail_on_post(THREAD_SNOWFLAKE, wake, client.multi);
	thread_start(THREAD_SNOWFLAKE, run, NULL, &client.thread);
	return true;
}

static void deliver_stop(struct mail *m UNUSED)
{
	client.stopping = true;
}

void snowflake_stop(void)
{
	client.stop.deliver = deliver_stop;
	mail_post(THREAD_SNOWFLAKE, &client.stop);
	thread_join(client.thread);
	mail_on_post(THREAD_SNOWFLAKE, NULL, NULL);
	client_close();
}
