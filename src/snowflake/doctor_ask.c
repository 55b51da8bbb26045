/* What the doctor asks: names, connections and TLS by themselves, statements by the client that serves calls. */
#include "client.h"
#include "doctor.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "snowgate/crypt.h"

#define REACH_SECONDS 10L
#define ASK_ROWS      ((size_t)10000)
#define ASK_BYTES     ((size_t)8 << 20)
#define ARENA_BYTES   ((size_t)32 << 20)

/* ---- the network ---- */

static bool is_private(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET) {
		uint32_t v = ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr);

		return v >> 24 == 10 || v >> 20 == 0xac1 || v >> 16 == 0xc0a8 || v >> 24 == 127;
	}
	return (((const struct sockaddr_in6 *)(const void *)a)->sin6_addr.s6_addr[0] & 0xfe) == 0xfc;
}

static void add_address(struct doctor_network *n, const struct addrinfo *a)
{
	size_t used = strlen(n->addresses);
	char text[64] = "";

	(void)getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
	if (used + strlen(text) + 3 < sizeof n->addresses)
		(void)snprintf(n->addresses + used, sizeof n->addresses - used, "%s%s", used ? ", " : "", text);
	n->private_only &= is_private(a->ai_addr);
}

static bool look_up(const struct connection *connection, struct doctor_network *n)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	int rc = getaddrinfo(connection->host, NULL, &hints, &list);

	if (rc) {
		(void)snprintf(n->why, sizeof n->why, "%s", gai_strerror(rc));
		return false;
	}
	n->private_only = true;
	for (const struct addrinfo *a = list; a; a = a->ai_next)
		add_address(n, a);
	freeaddrinfo(list);
	return true;
}

static size_t on_header(char *data, size_t size, size_t count, void *user)
{
	struct doctor_network *n = user;
	char line[128];
	time_t theirs;

	if (size * count < sizeof line && size * count > 6 && !strncasecmp(data, "date:", 5)) {
		memcpy(line, data + 5, size * count - 5);
		line[size * count - 5] = '\0';
		theirs = curl_getdate(line, NULL);
		n->has_date = theirs > 0;
		n->skew_s = (int64_t)time(NULL) - (int64_t)theirs;
	}
	return size * count;
}

static size_t on_nothing(char *data UNUSED, size_t size, size_t count, void *user UNUSED)
{
	return size * count;
}

static void set_reach(CURL *easy, const struct connection *connection, struct doctor_network *n)
{
	char url[512];

	(void)snprintf(url, sizeof url, "%s://%s:%lld/", connection->protocol, connection->host,
		       (long long)connection->port);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT, REACH_SECONDS);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, n);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_nothing);
	client_set_security(easy, connection);
}

static int reached_of(CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return NETWORK_FINE;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return NETWORK_NO_NAME;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return NETWORK_NO_TLS;
	default:
		return NETWORK_NO_CONNECTION;
	}
}

static void reach(const struct connection *connection, struct doctor_network *n)
{
	char error[CURL_ERROR_SIZE] = "";
	CURL *easy = curl_easy_init();
	CURLcode code;

	if (!easy)
		abort();
	set_reach(easy, connection, n);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
	code = curl_easy_perform(easy);
	n->reached = reached_of(code);
	if (code != CURLE_OK)
		(void)snprintf(n->why, sizeof n->why, "%.200s", error[0] ? error : curl_easy_strerror(code));
	curl_easy_cleanup(easy);
}

/* Behind a proxy the name is the proxy's to look up. */
void doctor_reach(const struct connection *connection, struct doctor_network *n)
{
	const char *proxy = connection->proxy_host ? connection->proxy_host : getenv("HTTPS_PROXY");

	*n = (struct doctor_network){.reached = NETWORK_NO_NAME};
	if (!proxy)
		proxy = getenv("https_proxy");
	if (proxy && !connection->proxy_host && strchr(proxy, '@'))
		proxy = "a proxy with credentials";
	(void)snprintf(n->proxy, sizeof n->proxy, "%.200s", proxy ? proxy : "");
	if (proxy || look_up(connection, n))
		reach(connection, n);
}

/* ---- statements ---- */

static void on_done(struct wire_request *rq)
{
	*(bool *)rq->owner = true;
}

static bool token_ready(struct job *j, struct reading *r)
{
	enum token_state state;

	while ((state = job_token(j, &j->request, &r->message)) == TOKEN_WAIT)
		client_wait();
	r->meaning = state == TOKEN_LATER ? MEANS_TRANSIENT : MEANS_AUTH;
	r->err = state == TOKEN_LATER ? ERR_UPSTREAM : ERR_UPSTREAM_AUTH;
	return state == TOKEN_READY;
}

static bool fill(struct job *j, struct statement *s, bool *done)
{
	struct wire_request *rq = &j->request;

	crypt_uuid(s->request_id);
	request_path(j, "/api/v2/statements?requestId=%s", s->request_id);
	buf_clear(&rq->body);
	rq->op = WIRE_SUBMIT;
	rq->post = true;
	rq->timeout = 60 * USEC_PER_S;
	rq->connect_timeout = 10 * USEC_PER_S;
	rq->answer = buf_with_ceiling(ASK_BYTES);
	rq->retry_after_s = -1;
	rq->done = on_done;
	rq->more = NULL;
	rq->owner = done;
	return statement_body(&rq->body, s, "{\"app\":\"snowgate doctor\"}");
}

static bool exchange(struct job *j, struct statement *s, struct reading *r)
{
	bool done = false;

	if (!token_ready(j, r))
		return false;
	if (!fill(j, s, &done))
		abort();
	snowflake.wire->send(snowflake.wire, &j->request);
	while (!done)
		client_wait();
	j->request.owner = j;
	answer_read(j, r);
	if (r->meaning == MEANS_RUNNING)
		r->message = "Snowflake did not answer within 45 s";
	return r->meaning == MEANS_RESULT;
}

static bool read_rows(struct call *c, struct job *j, struct statement *s)
{
	s->raw = j->request.answer;
	j->request.answer = buf_with_ceiling(0);
	s->raw_begins = s->raw_last = true;
	return statement_decode(c->arena, s, ASK_BYTES) == ERR_OK;
}

/* A token that is refused at first may only be too old. */
static bool ask(struct call *c, struct job *j, struct statement *s, struct reading *r)
{
	bool fine = exchange(j, s, r);

	if (!fine && r->meaning == MEANS_AUTH && j->request.status && job_token_renew(j, &j->request)) {
		buf_free(&j->request.answer);
		fine = exchange(j, s, r);
	}
	if (!fine)
		return false;
	fine = read_rows(c, j, s);
	if (!fine)
		*r = (struct reading){.meaning = MEANS_FAILED,
				      .err = ERR_UPSTREAM_ANSWER,
				      .message = "what came back is no result of Snowflake's SQL API"};
	return fine;
}

void doctor_ask(const struct conf *conf, const struct policy *policy, const struct principal *who, const char *role,
		const char *warehouse, const char *sql, struct doctor_answer *answer)
{
	struct request *rq = request_new(conf, ARENA_BYTES);
	struct call *c;
	struct job *j;

	rq->policy = policy;
	rq->principal = *who;
	c = call_new(rq);
	c->plan_n = 1;
	c->plan[0] = (struct statement){
	    .kind = STATEMENT_RUN, .sql = sql, .metadata = true, .rows = ASK_ROWS, .bytes = ASK_BYTES};
	c->plan[0].context = (struct context){.role = role, .warehouse = warehouse};
	*answer = (struct doctor_answer){.call = c};
	j = job_enter(c);
	answer->fine = ask(c, j, &c->plan[0], &answer->reading);
	answer->cells = c->plan[0].cells;
	c->plan[0].job = NULL;
	job_free(j);
}

void doctor_forget(struct doctor_answer *answer)
{
	call_free(answer->call);
}

const char *doctor_cell(const struct doctor_answer *answer, size_t row, const char *column)
{
	const struct statement *s = &answer->call->plan[0];

	for (size_t i = 0; i < s->columns_n; i++)
		if (!strcasecmp(s->columns[i].name, column))
			return cells_at(answer->cells, row, i).text;
	return NULL;
}
