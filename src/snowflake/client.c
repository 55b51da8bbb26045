/* The SNOWFLAKE thread: curl's multi loop, its pool of handles and connections, and the wire over them. */
#include "internal.h"

#include "snowgate/log.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#ifndef SNOWGATE_VERSION
#define SNOWGATE_VERSION "0"
#endif
#define IDLE_MAX     256 /* easy handles kept for reuse */
#define IDLE_WAIT_MS 1000
#define SLOW_TURN    (20 * USEC_PER_MS)

/* One request with curl. The header list is kept with the handle, and made anew when the token is another. */
struct transfer {
	CURL *easy;
	struct wire_request *request;
	struct curl_slist *headers;
	char *bearer;
	char error[CURL_ERROR_SIZE];
	bool unstarted;        /* curl would not take it; told in the next turn */
	struct transfer *next; /* idle, or unstarted */
};

/* owner: SNOWFLAKE, from snowflake_start() to snowflake_stop() */
static struct client {
	struct wire wire;
	CURLM *multi;
	struct wheel *wheel;
	struct transfer *idle, *unstarted;
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
	t->unstarted = false;
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

static void set_headers(struct transfer *t, const struct wire_request *rq)
{
	struct buf line = buf_with_ceiling(128 * 1024);

	if (t->bearer && !strcmp(t->bearer, rq->bearer))
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
	add_header(t, "Accept: application/json");
	add_header(t, "Content-Type: application/json");
	add_header(t, "Expect:");
	buf_free(&line);
}

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
	struct wire_request *rq = user;

	if (!results_take(size * n))
		return 0;
	rq->held += size * n;
	return buf_add(&rq->answer, data, size * n) ? size * n : 0;
}

static void set_url(struct transfer *t, const struct wire_request *rq)
{
	const struct connection *connection = rq->connection;
	struct buf url = buf_with_ceiling(4096);

	buf_addf(&url, "%s://%s:%lld%s", connection->protocol, connection->host, (long long)connection->port, rq->path);
	curl_easy_setopt(t->easy, CURLOPT_URL, buf_text(&url));
	buf_free(&url);
}

static void set_limits(CURL *easy, const struct wire_request *rq)
{
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(rq->connect_timeout / USEC_PER_MS));
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(rq->timeout / USEC_PER_MS));
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, rq->connection->protocol);
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS,
			 !strcmp(rq->connection->protocol, "http") ? CURLPROTO_HTTP : CURLPROTO_HTTPS);
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
	/* Without it a name look-up that hangs holds up the loop when its transfer ends. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
}

static void set_options(struct transfer *t, struct wire_request *rq)
{
	CURL *easy = t->easy;

	set_url(t, rq);
	set_headers(t, rq);
	set_limits(easy, rq);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	if (rq->connection->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, rq->connection->ca_file);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "snowgate/" SNOWGATE_VERSION);
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
	if (rq->post) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, buf_text(&rq->body));
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)rq->body.n);
	} else {
		curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	}
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, rq);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
}

/* ---- the wire ---- */

static void wire_send(struct wire *w UNUSED, struct wire_request *rq)
{
	struct transfer *t = transfer_new();

	OWNED_BY(THREAD_SNOWFLAKE);
	t->request = rq;
	t->error[0] = '\0';
	rq->transfer = t;
	set_options(t, rq);
	if (curl_multi_add_handle(client.multi, t->easy) == CURLM_OK)
		return;
	t->unstarted = true;
	t->next = client.unstarted;
	client.unstarted = t;
}

static void wire_abort(struct wire *w UNUSED, struct wire_request *rq)
{
	struct transfer *t = rq->transfer;

	OWNED_BY(THREAD_SNOWFLAKE);
	rq->transfer = NULL;
	if (t->unstarted) {
		struct transfer **at = &client.unstarted;
		while (*at != t)
			at = &(*at)->next;
		*at = t->next;
	} else {
		curl_multi_remove_handle(client.multi, t->easy);
	}
	transfer_rest(t);
}

static bool was_begun(CURL *easy)
{
	curl_off_t begun = 0;

	curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &begun);
	return begun > 0;
}

/* Refused is what cannot have been executed: the request was not sent. */
static enum wire_result result_of(CURL *easy, CURLcode code)
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
	default:
		return was_begun(easy) ? WIRE_BROKEN : WIRE_REFUSED;
	}
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
	rq->result = t->unstarted ? WIRE_REFUSED : result_of(t->easy, code);
	rq->status = (int)status;
	rq->retry_after_s = retry_after > 0 ? (int64_t)retry_after : -1;
	(void)snprintf(rq->error, sizeof rq->error, "%.*s", (int)sizeof rq->error - 1,
		       t->error[0] ? t->error : curl_easy_strerror(code));
	if (!t->unstarted)
		curl_multi_remove_handle(client.multi, t->easy);
	rq->transfer = NULL;
	transfer_rest(t);
	rq->done(rq);
}

static void finish_all(void)
{
	struct transfer *t;
	CURLMsg *message;
	int left;

	while ((t = client.unstarted)) {
		client.unstarted = t->next;
		finish(t, CURLE_FAILED_INIT);
	}
	while ((message = curl_multi_info_read(client.multi, &left))) {
		CURLcode code = message->data.result;
		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		finish(t, code);
	}
}

/* ---- the thread ---- */

static void turn(void)
{
	usec_t began = clock_now();
	int running;

	(void)mail_deliver(THREAD_SNOWFLAKE);
	(void)curl_multi_perform(client.multi, &running);
	finish_all();
	(void)wheel_run(client.wheel, clock_now());
	if (clock_now() - began <= SLOW_TURN)
		return;
	metric_count(METRIC_slow_turns, NULL);
	log_event(LOG_DEBUG, "slow_turn", log_text("thread", thread_name(THREAD_SNOWFLAKE)),
		  log_number("ms", (clock_now() - began) / USEC_PER_MS));
}

static void run(void *arg UNUSED)
{
	while (!client.stopping) {
		int wait = client.unstarted ? 0 : wheel_wait(client.wheel, clock_now(), IDLE_WAIT_MS);
		(void)curl_multi_poll(client.multi, NULL, 0, wait, NULL);
		turn();
	}
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

bool snowflake_start(const struct conf *conf, const struct snowflake_ops *ops, char *why, size_t why_size)
{
	client = (struct client){.wire = {wire_send, wire_abort}};
	if (!open_multi(conf)) {
		(void)snprintf(why, why_size, "libcurl cannot be initialized");
		return false;
	}
	client.wheel = wheel_new();
	snowflake_open(conf, ops, &client.wire, client.wheel);
	mail_on_post(THREAD_SNOWFLAKE, wake, client.multi);
	thread_start(THREAD_SNOWFLAKE, run, NULL, &client.thread);
	return true;
}

static void deliver_stop(struct mail *m UNUSED)
{
	jobs_abandon();
	client.stopping = true;
}

void snowflake_stop(void)
{
	client.stop.deliver = deliver_stop;
	mail_post(THREAD_SNOWFLAKE, &client.stop);
	thread_join(client.thread);
	mail_on_post(THREAD_SNOWFLAKE, NULL, NULL);
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
