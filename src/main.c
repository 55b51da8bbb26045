/* The program: arguments, start order, signals, stop order. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "snowgate/auth.h"
#include "snowgate/conf.h"
#include "snowgate/connect.h"
#include "snowgate/doctor.h"
#include "snowgate/gateway.h"
#include "snowgate/http.h"
#include "snowgate/kill.h"
#include "snowgate/log.h"
#include "snowgate/mail.h"
#include "snowgate/probe.h"
#include "snowgate/stdio.h"

#define LOG_RING_BYTES ((size_t)1 << 20)
#define TAKE_OVER_WAIT "1m"
#define WATCH_NSEC     (200 * 1000 * 1000) /* how often main looks at the key file and at whether NET has ended */

static const char usage[] =
    "snowgate: a gateway that lets MCP clients use Snowflake through one endpoint\n"
    "\n"
    "  snowgate [serve] [-c FILE]                      run in the foreground\n"
    "  snowgate [serve] --take-over [-c FILE]          the same, in place of the one that runs: its sockets and "
    "sessions\n"
    "  snowgate stdio [-c FILE]                        serve one client over standard input and output\n"
    "  snowgate connect CLIENT [--url URL] [--key KEY] [-c FILE]\n"
    "                                                  print what CLIENT needs to use the gateway\n"
    "  snowgate connect CLIENT --stdio [-c FILE]       the same for a client that starts `snowgate stdio`\n"
    "  snowgate check [-c FILE]                        validate the configuration\n"
    "  snowgate check --import FILE                    print what a configuration file of Snowflake's own MCP server\n"
    "                                                  says, in the words of snowgate.yaml\n"
    "  snowgate doctor [-c FILE]                       connect to Snowflake and report what works, step by step\n"
    "  snowgate config [-c FILE] [--defaults]          print the effective or the default configuration\n"
    "  snowgate key new NAME [--group G] [--expires 90d] [-c FILE]\n"
    "  snowgate key list [-c FILE]\n"
    "  snowgate key revoke NAME|ID [-c FILE]\n"
    "  snowgate health [URL]                           exit status for container probes\n"
    "  snowgate --version | --help\n"
    "\n"
    "FILE: else $SNOWGATE_CONFIG, ./snowgate.yaml, /etc/snowgate/snowgate.yaml, or defaults on loopback.\n";

struct options {
	const char *file, *group, *expires, *url, *key, *import;
	bool defaults, help, version, stdio, take_over;
	int words_n;
	char *words[4];
};

/* ---- configuration ---- */

/* Prints what there is to say; NULL where there is a fault. */
static const struct conf *conf_or_faults(const char *file, bool to_serve)
{
	struct buf text = buf_with_ceiling(1 << 20);
	struct conf_faults faults;
	const struct conf *conf = conf_load(file, &faults);

	conf_faults_write(&text, &faults);
	fputs(buf_text(&text), stderr);
	if (conf && to_serve && faults.no_connection) {
		fputs("snowgate: there is no Snowflake connection to serve\n", stderr);
		conf_free(conf);
		conf = NULL;
	}
	conf_faults_free(&faults);
	buf_free(&text);
	return conf;
}

static int run_check(const struct options *o)
{
	const struct conf *conf = conf_or_faults(o->file, true);

	if (!conf)
		return 1;
	printf("%s: ok\n", conf->file ? conf->file : "defaults");
	conf_free(conf);
	return 0;
}

static int run_doctor(const struct options *o)
{
	const struct conf *conf = conf_or_faults(o->file, true);
	int faults;

	if (!conf)
		return 1;
	printf("%s\n", conf->file ? conf->file : "defaults");
	faults = doctor_run(conf, stdout);
	conf_free(conf);
	return faults ? 1 : 0;
}

static int run_import(const struct options *o)
{
	struct buf text = buf_with_ceiling(1 << 20), out = buf_with_ceiling(1 << 20);
	struct conf_faults faults;
	bool imported = conf_import(o->import, &out, &faults);

	conf_faults_write(&text, &faults);
	fputs(buf_text(&text), stderr);
	fputs(buf_text(&out), stdout);
	conf_faults_free(&faults);
	buf_free(&text);
	buf_free(&out);
	return imported ? 0 : 1;
}

static int run_config(const struct options *o)
{
	struct buf text = buf_with_ceiling(1 << 20);
	const struct conf *conf = o->defaults ? NULL : conf_or_faults(o->file, false);
	bool written = o->defaults ? conf_write_defaults(&text) : conf && conf_write(&text, conf);

	if (written)
		fputs(buf_text(&text), stdout);
	buf_free(&text);
	if (conf)
		conf_free(conf);
	return written ? 0 : 1;
}

/* ---- keys ---- */

static int key_fault(const char *why)
{
	fprintf(stderr, "snowgate: %s\n", why);
	return 1;
}

static int run_key_new(const struct options *o, const char *path)
{
	struct buf secret = buf_with_ceiling(256);
	char why[1024] = "";

	if (!key_new(path, o->words[2], o->group, o->expires, &secret, why, sizeof why)) {
		buf_free(&secret);
		return key_fault(why);
	}
	printf("%s\n", buf_text(&secret));
	fprintf(stderr, "Key for %s written to %s. It is shown this once: keep it where only its user can read it.\n",
		o->words[2], path);
	buf_free(&secret);
	return 0;
}

static int run_key_list(const char *path)
{
	struct buf table = buf_with_ceiling(16 << 20);
	char why[1024] = "";
	bool listed = key_list(path, &table, why, sizeof why);

	if (listed)
		fputs(buf_text(&table), stdout);
	buf_free(&table);
	return listed ? 0 : key_fault(why);
}

static int run_key_revoke(const char *name, const char *path)
{
	char why[1024] = "";
	size_t n;

	if (!key_revoke(path, name, &n, why, sizeof why))
		return key_fault(why);
	printf("%zu key%s revoked\n", n, n == 1 ? "" : "s");
	return 0;
}

static int run_key(const struct options *o)
{
	const struct conf *conf = conf_or_faults(o->file, false);
	int status = 2;

	if (!conf)
		return 1;
	if (o->words_n == 3 && strcmp(o->words[1], "new") == 0)
		status = run_key_new(o, conf->auth_api_keys_file);
	else if (o->words_n == 2 && strcmp(o->words[1], "list") == 0)
		status = run_key_list(conf->auth_api_keys_file);
	else if (o->words_n == 3 && strcmp(o->words[1], "revoke") == 0)
		status = run_key_revoke(o->words[2], conf->auth_api_keys_file);
	else
		fputs(usage, stderr);
	conf_free(conf);
	return status;
}

/* ---- serve ---- */

/* The key file as it was last read. */
struct watch {
	char *path;
	struct timespec changed;
	bool there;
};

static bool watch_changed(struct watch *w)
{
	struct stat st = {0};
	bool there = stat(w->path, &st) == 0;

	if (there == w->there && st.st_mtim.tv_sec == w->changed.tv_sec && st.st_mtim.tv_nsec == w->changed.tv_nsec)
		return false;
	w->there = there;
	w->changed = st.st_mtim;
	return true;
}

static void keys_reload(struct watch *w)
{
	struct keyring *keys;
	char why[2048];

	if (!*w->path || !watch_changed(w))
		return;
	keys = keyring_load(w->path, why, sizeof why);
	if (!keys) {
		log_event(LOG_ERROR, "keys_refused", log_text("reason", why));
		return;
	}
	log_event(LOG_INFO, "keys_loaded", log_number("keys", keyring_count(keys)));
	gateway_rekey(keys);
}

/* A new snapshot, or none: what cannot be taken over without a restart is told. */
static const struct conf *conf_reload(const struct conf *now)
{
	struct buf fixed = buf_with_ceiling(8192), text = buf_with_ceiling(1 << 16);
	struct conf_faults faults;
	const struct conf *next = conf_load(now->file, &faults);

	conf_faults_write(&text, &faults);
	if (next && faults.no_connection) {
		conf_free(next);
		next = NULL;
	}
	if (next && conf_changes(&fixed, now, next) && fixed.n)
		log_event(LOG_WARN, "restart_needed", log_text("settings", buf_text(&fixed)));
	log_event(next ? LOG_INFO : LOG_ERROR, next ? "configuration_loaded" : "configuration_refused",
		  log_text("faults", text.n ? buf_text(&text) : NULL));
	if (next) {
		log_set_level((enum log_level)next->log_level);
		gateway_reload(next);
	}
	conf_faults_free(&faults);
	buf_free(&fixed);
	buf_free(&text);
	return next ? next : now;
}

static void serve_until_drained(const struct conf *conf, struct watch *keys, const sigset_t *signals)
{
	const struct timespec tick = {0, WATCH_NSEC};

	while (!gateway_drained()) {
		int signal_number = sigtimedwait(signals, NULL, &tick);

		if (signal_number == SIGHUP)
			conf = conf_reload(conf);
		else if (signal_number == SIGTERM || signal_number == SIGINT)
			gateway_drain();
		if (conf->auth_mode == AUTH_REQUIRED)
			keys_reload(keys);
		mail_deliver(THREAD_MAIN);
	}
}

static struct keyring *keys_first(const struct conf *conf, struct watch *watch)
{
	struct keyring *keys;
	char why[2048];

	watch_changed(watch);
	keys = keyring_load(conf->auth_api_keys_file, why, sizeof why);
	if (!keys)
		fprintf(stderr, "snowgate: %s\n", why);
	else if (keyring_count(keys) == 0)
		fprintf(stderr, "snowgate: no API key yet: make one with `snowgate key new NAME`\n");
	return keys;
}

static void signals_block(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGHUP);
	sigprocmask(SIG_BLOCK, signals, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Keys and tokens are in memory: no core file, no other process of this user may look. */
static void memory_guard(void)
{
	const struct rlimit none = {0, 0};

	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
}

/* Runs until it is told to end, or its transport has. */
static int run_gateway(const struct conf *conf, struct keyring *keys, struct watch *watch, transport_start_f *start)
{
	char why[1024] = "";
	sigset_t signals;

	memory_guard();
	signals_block(&signals);
	log_set_level((enum log_level)conf->log_level);
	log_start(2, LOG_RING_BYTES);
	if (!gateway_start(conf, keys, start, why, sizeof why)) {
		log_event(LOG_ERROR, "not_started", log_text("reason", why));
		log_stop();
		return 1;
	}
	serve_until_drained(conf, watch, &signals);
	gateway_stop();
	log_event(LOG_INFO, "stopped");
	log_stop();
	return 0;
}

/* Sockets that are open already. False: told why not. */
static bool sockets_take(const struct options *o, const struct conf *conf)
{
	char why[1024] = "";
	bool taken = http_inherit(why, sizeof why) && (!o->take_over || http_take_over(conf, why, sizeof why));

	if (*why)
		fprintf(stderr, "snowgate: %s\n", why);
	return taken;
}

static int run_serve(const struct options *o)
{
	const struct conf *conf;
	struct keyring *keys = NULL;
	struct watch watch = {0};
	int status = 1;

	if (o->take_over) /* the one that has the store is about to leave it */
		setenv("SNOWGATE_STORE_LOCK_WAIT", TAKE_OVER_WAIT, 0);
	conf = conf_or_faults(o->file, true);
	if (!conf)
		return 1;
	watch.path = xstrdup(conf->auth_mode == AUTH_REQUIRED ? conf->auth_api_keys_file : "");
	if ((conf->auth_mode == AUTH_REQUIRED && !(keys = keys_first(conf, &watch))) || !sockets_take(o, conf)) {
		keyring_free(keys);
		conf_free(conf);
	} else {
		status = run_gateway(conf, keys, &watch, http_start);
	}
	free(watch.path);
	return status;
}

static struct transport *stdio_over_own(const struct conf *conf, const struct transport_ops *ops, struct wheel *wheel,
					char *why, size_t why_size)
{
	return stdio_start(conf, ops, wheel, 0, 1, why, why_size);
}

/* The client is who started us: no keys, no listener; and no file, since each client has such a process of its own.
 * The environment goes before the file, when that is read again, too. */
static int run_stdio(const struct options *o)
{
	const struct conf *conf;
	struct watch watch = {.path = ""};

	setenv("SNOWGATE_STORE_KIND", "memory", 1);
	conf = conf_or_faults(o->file, true);
	return conf ? run_gateway(conf, NULL, &watch, stdio_over_own) : 1;
}

/* ---- connect ---- */

/* Where it goes is told apart, so that what goes there can be piped; JSON takes no comments. */
static void connect_show(const struct buf *text)
{
	const char *all = buf_text(text), *end = strchr(all, '\n');

	fprintf(stderr, "%.*s\n", (int)(end - all), all);
	fputs(end + 1, stdout);
}

/* A key of the client's own, where one is needed and none was given. */
static bool connect_key(const struct options *o, const struct conf *conf, struct buf *key)
{
	char why[1024] = "";

	if (conf->auth_mode == AUTH_NONE)
		return true;
	if (o->key)
		return buf_adds(key, o->key);
	if (key_new(conf->auth_api_keys_file, o->words[1], NULL, NULL, key, why, sizeof why)) {
		fprintf(stderr, "New key %s written to %s. It is shown this once.\n", o->words[1],
			conf->auth_api_keys_file);
		return true;
	}
	fprintf(stderr, "snowgate: %s\n", why);
	return false;
}

static int connect_print(const struct options *o, const struct conf *conf)
{
	struct buf url = buf_with_ceiling(1024), key = buf_with_ceiling(256), text = buf_with_ceiling(1 << 16);
	bool written = false, known = connect_write(&text, o->words[1], "", NULL);

	buf_clear(&text);
	if (!known)
		fprintf(stderr, "snowgate: no client %s; there are: %s\n", o->words[1], connect_clients());
	if (known && connect_key(o, conf, &key)) {
		connect_url(&url, conf);
		written =
		    connect_write(&text, o->words[1], o->url ? o->url : buf_text(&url), key.n ? buf_text(&key) : NULL);
		if (written)
			connect_show(&text);
	}
	buf_free(&url);
	buf_free(&key);
	buf_free(&text);
	return written ? 0 : 1;
}

/* For a client that starts the process itself: paths must not depend on where it does. */
static int connect_print_stdio(const struct options *o)
{
	char program[PATH_MAX] = "", file[PATH_MAX] = "";
	struct buf text = buf_with_ceiling(1 << 16);
	bool found = realpath("/proc/self/exe", program) && (!o->file || realpath(o->file, file));
	bool written = found && connect_write_stdio(&text, o->words[1], program, o->file ? file : NULL);

	if (written)
		connect_show(&text);
	else if (!found)
		fprintf(stderr, "snowgate: %s: %s\n", o->file ? o->file : "/proc/self/exe", strerror(errno));
	else
		fprintf(stderr, "snowgate: no client %s that starts a process; there are: %s\n", o->words[1],
			connect_clients());
	buf_free(&text);
	return written ? 0 : 1;
}

static int run_connect(const struct options *o)
{
	const struct conf *conf = conf_or_faults(o->file, false);
	int status = conf ? connect_print(o, conf) : 1;

	if (conf)
		conf_free(conf);
	return status;
}

/* ---- arguments ---- */

static bool options_read(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
	    {"config", required_argument, NULL, 'c'},  {"group", required_argument, NULL, 'g'},
	    {"expires", required_argument, NULL, 'e'}, {"url", required_argument, NULL, 'u'},
	    {"key", required_argument, NULL, 'k'},     {"stdio", no_argument, NULL, 's'},
	    {"defaults", no_argument, NULL, 'd'},      {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'v'},       {"import", required_argument, NULL, 'i'},
	    {"take-over", no_argument, NULL, 't'},     {NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->file = optarg;
			break;
		case 'g':
			o->group = optarg;
			break;
		case 'e':
			o->expires = optarg;
			break;
		case 'i':
			o->import = optarg;
			break;
		case 's':
			o->stdio = true;
			break;
		case 'u':
			o->url = optarg;
			break;
		case 'k':
			o->key = optarg;
			break;
		case 'd':
			o->defaults = true;
			break;
		case 'h':
			o->help = true;
			break;
		case 't':
			o->take_over = true;
			break;
		case 'v':
			o->version = true;
			break;
		default:
			return false;
		}
	}
	for (; optind < argc && o->words_n < (int)ARRAY_LEN(o->words); optind++)
		o->words[o->words_n++] = argv[optind];
	return optind == argc;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	const char *word;

	if (!options_read(&o, argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	if (!KILL_ARM(getenv("SNOWGATE_KILL_AT"))) {
		fputs("snowgate: SNOWGATE_KILL_AT names no kill point of this build\n", stderr);
		return 2;
	}
	if (o.help || o.version) {
		fputs(o.help ? usage : "snowgate " SNOWGATE_VERSION "\n", stdout);
		return 0;
	}
	word = o.words_n ? o.words[0] : "serve";
	if (strcmp(word, "serve") == 0 && o.words_n <= 1)
		return run_serve(&o);
	if (strcmp(word, "stdio") == 0 && o.words_n == 1)
		return run_stdio(&o);
	if (strcmp(word, "connect") == 0 && o.words_n == 2)
		return o.stdio ? connect_print_stdio(&o) : run_connect(&o);
	if (strcmp(word, "check") == 0 && o.words_n == 1)
		return o.import ? run_import(&o) : run_check(&o);
	if (strcmp(word, "doctor") == 0 && o.words_n == 1)
		return run_doctor(&o);
	if (strcmp(word, "config") == 0 && o.words_n == 1)
		return run_config(&o);
	if (strcmp(word, "key") == 0)
		return run_key(&o);
	if (strcmp(word, "health") == 0 && o.words_n <= 2)
		return probe_health(o.words_n == 2 ? o.words[1] : NULL);
	fputs(usage, stderr);
	return 2;
}
