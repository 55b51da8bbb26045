/* snowgate-conformance: the gateway with the conformance suite's fixtures. For tests only: no authentication, no
 * Snowflake.
 *
 *   snowgate-conformance [--host ADDRESS] [--port N]     0, the default: any free port, told by the line "listening" */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "snowgate/gateway.h"
#include "snowgate/http.h"
#include "snowgate/log.h"
#include "snowgate/mail.h"

#define LOG_RING_BYTES ((size_t)1 << 20)
#define WATCH_NSEC     (50 * 1000 * 1000) /* how often main looks at whether NET has ended */

static const char usage[] = "usage: snowgate-conformance [--host ADDRESS] [--port N]\n";

/* Streams open with the first notice; the connection is never used. */
static const char configuration[] =
    "listen: {address: \"%s\", port: %d}\n"
    "admin: {address: \"\"}\n"
    "auth: {mode: none}\n"
    "store: {kind: memory}\n"
    "mcp: {stream_after: 0s, retry: 100ms}\n"
    "limits: {default: {calls_per_minute: 1000000, burst: 100000, running: 100, queued: 1000}}\n"
    "snowflake: {connection: none, connections: {none: {account: none, user: none, host: 127.0.0.1, port: 1,\n"
    "  protocol: http, authenticator: programmatic_access_token, token: none}}}\n";

/* The configuration goes by way of a file, as every other does. */
static const struct conf *conf_of(const char *host, int64_t port)
{
	char name[] = "/tmp/snowgate-conformance-XXXXXX";
	struct buf faults_text = buf_with_ceiling(1 << 16);
	struct conf_faults faults;
	const struct conf *conf;
	int fd = mkstemp(name);

	if (fd < 0 || dprintf(fd, configuration, host, (int)port) < 0) {
		fprintf(stderr, "%s: %s\n", name, strerror(errno));
		return NULL;
	}
	close(fd);
	conf = conf_load(name, &faults);
	unlink(name);
	conf_faults_write(&faults_text, &faults);
	fputs(buf_text(&faults_text), stderr);
	conf_faults_free(&faults);
	buf_free(&faults_text);
	return conf;
}

static void serve_until_drained(const sigset_t *signals)
{
	const struct timespec tick = {0, WATCH_NSEC};

	while (!gateway_drained()) {
		if (sigtimedwait(signals, NULL, &tick) > 0)
			gateway_drain();
		mail_deliver(THREAD_MAIN);
	}
}

static int run(const struct conf *conf)
{
	char why[1024] = "";
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	log_start(STDERR_FILENO, LOG_RING_BYTES);
	if (!gateway_start(conf, NULL, http_start, why, sizeof why)) {
		log_event(LOG_ERROR, "not_started", log_text("reason", why));
		log_stop();
		return 1;
	}
	serve_until_drained(&signals);
	gateway_stop();
	log_stop();
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
	    {"host", required_argument, NULL, 'h'},
	    {"port", required_argument, NULL, 'p'},
	    {NULL, 0, NULL, 0},
	};
	const char *host = "127.0.0.1";
	const struct conf *conf;
	int64_t port = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'h')
			host = optarg;
		else if (c != 'p' || !parse_int(optarg, 0, 65535, &port))
			optind = argc + 1;
	}
	if (optind != argc) {
		fputs(usage, stderr);
		return 2;
	}
	conf = conf_of(host, port);
	return conf ? run(conf) : 1;
}
