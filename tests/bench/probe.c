/* The yardstick: libmicrohttpd and curl in two threads and nothing else, with the upstream requests of one query. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define BODY_MAX   65536
#define IDLE_MAX   256
#define UPSTREAMS  64L /* connections to the upstream, as snowflake.max_connections has it */
#define EVENTS_MAX 64
#define UUID_SIZE  37

/* What the gateway's own submission of SELECT 1 holds. */
static const char statement[] =
    "{\"statement\":\"SELECT 1\",\"timeout\":300,\"database\":\"SNOWFLAKE_SAMPLE_DATA\",\"schema\":\"TPCH_SF1\","
    "\"warehouse\":\"COMPUTE_WH\",\"role\":\"SYSADMIN\","
    "\"parameters\":{\"MULTI_STATEMENT_COUNT\":\"1\",\"QUERY_TAG\":\"snowgate:bench\"}}";

/* One client request, and what is asked upstream for it. It belongs to NET, and between two mails to SNOWFLAKE; its
 * connection is suspended then, so that it cannot go. */
struct exchange {
	struct exchange *next;
	struct MHD_Connection *connection;
	bool sent;
	unsigned status;
	CURL *easy;
	char request_id[UUID_SIZE], handle[UUID_SIZE];
	size_t n, room;
	char *body;
};

struct mailbox {
	pthread_mutex_t lock;
	struct exchange *first, **end;
};

static struct mailbox to_net = {.lock = PTHREAD_MUTEX_INITIALIZER, .end = &to_net.first};
static struct mailbox to_snowflake = {.lock = PTHREAD_MUTEX_INITIALIZER, .end = &to_snowflake.first};
static int net_event; /* set before the threads start */
static CURLM *multi;  /* SNOWFLAKE; others call only curl_multi_wakeup() */
static struct curl_slist *headers;
static const char *upstream;        /* http://host:port */
static CURL *idle[IDLE_MAX];        /* SNOWFLAKE */
static size_t idle_n;               /* SNOWFLAKE */
static uint64_t calls, posts, gets; /* SNOWFLAKE; read when it has nothing more to do */

static void die(const char *why)
{
	fprintf(stderr, "probe: %s\n", why);
	exit(2);
}

/* ---- mailboxes ---- */

/* True when the box was empty: its reader may be asleep. */
static bool mail_post(struct mailbox *box, struct exchange *x)
{
	bool was_empty;

	x->next = NULL;
	pthread_mutex_lock(&box->lock);
	was_empty = !box->first;
	*box->end = x;
	box->end = &x->next;
	pthread_mutex_unlock(&box->lock);
	return was_empty;
}

static struct exchange *mail_take(struct mailbox *box)
{
	struct exchange *list;

	pthread_mutex_lock(&box->lock);
	list = box->first;
	box->first = NULL;
	box->end = &box->first;
	pthread_mutex_unlock(&box->lock);
	return list;
}

/* ---- SNOWFLAKE ---- */

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
	struct exchange *x = user;

	n *= size;
	if (n > BODY_MAX - x->n)
		return 0;
	if (x->n + n + 1 > x->room) {
		x->room = x->n + n + 1;
		x->body = realloc(x->body, x->room);
		if (!x->body)
			die("out of memory");
	}
	memcpy(x->body + x->n, data, n);
	x->n += n;
	x->body[x->n] = 0;
	return n;
}

/* What never changes is set once: a handle is reused as it is. */
static CURL *easy_new(void)
{
	CURL *easy;

	if (idle_n)
		return idle[--idle_n];
	easy = curl_easy_init();
	if (!easy)
		die("out of memory");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "probe");
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	return easy;
}

static void request_start(struct exchange *x)
{
	char url[512];
	bool submits = !x->handle[0];

	if (submits)
		(void)snprintf(url, sizeof url, "%s/api/v2/statements?requestId=%s&async=true", upstream,
			       x->request_id);
	else
		(void)snprintf(url, sizeof url, "%s/api/v2/statements/%s?requestId=%s", upstream, x->handle,
			       x->request_id);
	x->n = 0;
	x->easy = easy_new();
	curl_easy_setopt(x->easy, CURLOPT_URL, url);
	if (submits) {
		curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, statement);
		curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE, (long)(sizeof statement - 1));
	} else {
		curl_easy_setopt(x->easy, CURLOPT_HTTPGET, 1L);
	}
	curl_easy_setopt(x->easy, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(x->easy, CURLOPT_PRIVATE, x);
	*(submits ? &posts : &gets) += 1;
	if (curl_multi_add_handle(multi, x->easy) != CURLM_OK)
		die("curl takes no more requests");
}

static void call_start(struct exchange *x)
{
	calls++;
	(void)snprintf(x->request_id, sizeof x->request_id, "%08x-0000-4000-8000-%012llx", (unsigned)getpid(),
		       (unsigned long long)calls);
	request_start(x);
}

static void call_end(struct exchange *x, unsigned status)
{
	const uint64_t one = 1;

	x->status = status;
	if (mail_post(&to_net, x))
		(void)!write(net_event, &one, sizeof one);
}

static bool take_handle(struct exchange *x)
{
	static const char key[] = "\"statementHandle\":\"";
	const char *at = x->body ? strstr(x->body, key) : NULL;

	if (!at || strlen(at) < sizeof key - 1 + UUID_SIZE)
		return false;
	memcpy(x->handle, at + sizeof key - 1, UUID_SIZE - 1);
	return true;
}

/* 202 to the submission or to a question: ask for the result. */
static void request_end(CURLMsg *message)
{
	struct exchange *x = NULL;
	CURL *easy = message->easy_handle;
	CURLcode code = message->data.result;
	long status = 0;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&x);
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	curl_multi_remove_handle(multi, easy);
	if (idle_n < IDLE_MAX)
		idle[idle_n++] = easy;
	else
		curl_easy_cleanup(easy);
	if (code == CURLE_OK && status == 202 && (x->handle[0] || take_handle(x)))
		request_start(x);
	else
		call_end(x, code == CURLE_OK && status == 200 && x->handle[0] ? 200 : 502);
}

static void *snowflake_main(void *arg)
{
	(void)arg;
	for (;;) {
		CURLMsg *message;
		int n;

		for (struct exchange *x = mail_take(&to_snowflake), *next; x; x = next) {
			next = x->next;
			call_start(x);
		}
		(void)curl_multi_perform(multi, &n);
		while ((message = curl_multi_info_read(multi, &n)))
			request_end(message);
		(void)curl_multi_poll(multi, NULL, 0, 1000, NULL);
	}
	return NULL;
}

/* ---- NET ---- */

static enum MHD_Result answer(struct exchange *x)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(x->n, x->body, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result result;

	x->body = NULL;
	(void)MHD_add_response_header(r, "Content-Type", "application/json");
	result = MHD_queue_response(x->connection, x->status, r);
	MHD_destroy_response(r);
	return result;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
				  const char *version, const char *data, size_t *n, void **ctx)
{
	struct exchange *x = *ctx;

	(void)cls, (void)url, (void)method, (void)version, (void)data;
	if (!x) {
		*ctx = x = calloc(1, sizeof *x);
		if (!x)
			return MHD_NO;
		x->connection = connection;
		return MHD_YES;
	}
	if (*n) {
		*n = 0;
		return MHD_YES;
	}
	if (x->sent)
		return answer(x);
	x->sent = true;
	MHD_suspend_connection(connection);
	if (mail_post(&to_snowflake, x))
		(void)curl_multi_wakeup(multi);
	return MHD_YES;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **ctx, enum MHD_RequestTerminationCode why)
{
	struct exchange *x = *ctx;

	(void)cls, (void)connection, (void)why;
	if (x)
		free(x->body);
	free(x);
	*ctx = NULL;
}

static void resume_all(void)
{
	uint64_t count;

	(void)!read(net_event, &count, sizeof count);
	for (struct exchange *x = mail_take(&to_net), *next; x; x = next) {
		next = x->next;
		MHD_resume_connection(x->connection);
	}
}

static struct MHD_Daemon *listen_on(uint16_t port)
{
	struct sockaddr_in at = {
	    .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct MHD_Daemon *daemon = MHD_start_daemon(
	    MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, port, NULL, NULL, on_request, NULL, MHD_OPTION_SOCK_ADDR, &at,
	    MHD_OPTION_CONNECTION_TIMEOUT, 75u, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16384,
	    MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);

	if (!daemon)
		die("cannot listen");
	return daemon;
}

static void watch(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	(void)epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Until a signal: then the counts, and the end without ceremony. */
static void net_main(struct MHD_Daemon *daemon, int signals)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	watch(epoll, MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
	watch(epoll, net_event);
	watch(epoll, signals);
	for (;;) {
		struct epoll_event events[EVENTS_MAX];
		MHD_UNSIGNED_LONG_LONG timeout;
		int ms = MHD_get_timeout(daemon, &timeout) == MHD_YES && timeout < 1000 ? (int)timeout : 1000;
		int n = epoll_wait(epoll, events, EVENTS_MAX, ms);

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == net_event)
				resume_all();
			else if (events[i].data.fd == signals)
				return;
		}
		(void)MHD_run(daemon);
	}
}

/* ---- start ---- */

static void headers_open(int n, char **lines)
{
	headers = curl_slist_append(NULL, "Content-Type: application/json");
	headers = curl_slist_append(headers, "Accept: application/json");
	headers = curl_slist_append(headers, "Expect:");
	for (int i = 0; i < n; i++)
		headers = curl_slist_append(headers, lines[i]);
}

static int signals_open(void)
{
	sigset_t set;

	(void)signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int main(int argc, char **argv)
{
	struct MHD_Daemon *daemon;
	pthread_t snowflake;
	int signals;

	if (argc < 2)
		die("probe UPSTREAM_URL [HEADER]...");
	signals = signals_open();
	upstream = argv[1];
	if (curl_global_init(CURL_GLOBAL_DEFAULT) || !(multi = curl_multi_init()))
		die("curl cannot start");
	headers_open(argc - 2, argv + 2);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, UPSTREAMS);
	curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, UPSTREAMS);
	net_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	daemon = listen_on(0);
	if (pthread_create(&snowflake, NULL, snowflake_main, NULL))
		die("no thread");
	printf("{\"event\":\"listening\",\"port\":%u}\n",
	       (unsigned)MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
	(void)fflush(stdout);
	net_main(daemon, signals);
	printf("{\"event\":\"ended\",\"calls\":%llu,\"posts\":%llu,\"gets\":%llu}\n", (unsigned long long)calls,
	       (unsigned long long)posts, (unsigned long long)gets);
	(void)fflush(stdout);
	_exit(0);
}
