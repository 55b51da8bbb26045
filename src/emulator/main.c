/* snowgate-emulator: the command line, the order of start and stop. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "api.h"
#include "control.h"
#include "cortex.h"
#include "engine.h"
#include "oauth.h"
#include "pool.h"
#include "record.h"
#include "registry.h"
#include "stub.h"
#include "token.h"

#define FILE_MAX        ((size_t)1 << 20)
#define THREADS_DEFAULT 64

static const char help[] =
    "Usage: snowgate-emulator [options]\n"
    "Serves Snowflake's SQL API v2 with DuckDB as its engine.\n"
    "\n"
    "  --address IP             where to listen (127.0.0.1)\n"
    "  --port N                 0 is any free port (8084)\n"
    "  --tls-cert F --tls-key F PEM files; HTTPS instead of HTTP\n"
    "  --account NAME           the account in the issuer of key-pair tokens (EMULATOR)\n"
    "  --user USER[:ROLE,...]   a user with these roles, the first its default; others have every role\n"
    "  --public-key USER=F      a PEM public key of USER; twice for two keys\n"
    "  --pat TOKEN=USER[:ROLE,...]          a programmatic access token, with its role restriction\n"
    "  --oauth-token TOKEN=USER[:ROLE,...]  an OAuth access token\n"
    "  --oauth-client ID:SECRET=USER[:ROLE,...]  a client of /oauth/token-request\n"
    "  --external-oauth ISSUER,AUDIENCE=F    whose tokens name users in `sub`, and its PEM public key\n"
    "  --workload-issuer ISSUER=F            the same for WIF.OIDC tokens (audience snowflakecomputing.com)\n"
    "  --workload-user USER=ISSUER,SUBJECT   the user that a workload's token stands for\n"
    "  --service-token F=USER[:ROLE,...]     the token file of an SPCS service, read again when it changes\n"
    "  --no-auth                everybody is the user EMULATOR; loopback addresses only\n"
    "  --data-dir DIR           the one directory that SQL may read and write\n"
    "  --scale X                size of SNOWFLAKE_SAMPLE_DATA.TPCH_SF1 (0.01)\n"
    "  --threads N              statements at work in the engine at one time (64)\n"
    "  --partition-bytes N      size of a result's partitions (8 MiB, at most 64 MiB)\n"
    "  --bare-partitions        partitions after the first are bare arrays, not {\"data\":...}\n"
    "  --control                the control endpoint, /control/, for clients on this machine\n"
    "  --record F               requests and answers of the SQL API as JSON lines, without tokens\n"
    "  --stub                   no engine: SELECT 1, STUB ROWS n [BYTES b], STUB WAIT ms, STUB ERROR,\n"
    "                           INSERT INTO STUB ...\n"
    "  --help\n";

struct arguments {
	const char *address, *account, *data_dir, *tls_certificate, *tls_key, *record;
	int64_t port, threads, partition_bytes;
	double scale;
	bool control, stub, no_auth, bare_partitions;
	struct credential {
		int option; /* enum option_id */
		const char *argument;
	} * credentials;
	size_t credentials_n;
};

static bool PRINTF_LIKE(1, 2) complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)fputs("snowgate-emulator: ", stderr);
	(void)vfprintf(stderr, format, args);
	(void)fputc('\n', stderr);
	va_end(args);
	return false;
}

enum option_id {
	OPT_ADDRESS = 1,
	OPT_PORT,
	OPT_CERT,
	OPT_KEY,
	OPT_ACCOUNT,
	OPT_PUBLIC_KEY,
	OPT_PAT,
	OPT_OAUTH,
	OPT_USER,
	OPT_CLIENT,
	OPT_EXTERNAL,
	OPT_WORKLOAD_ISSUER,
	OPT_WORKLOAD_USER,
	OPT_SERVICE,
	OPT_NO_AUTH,
	OPT_BARE,
	OPT_RECORD,
	OPT_DATA_DIR,
	OPT_SCALE,
	OPT_THREADS,
	OPT_PARTITION,
	OPT_CONTROL,
	OPT_STUB,
	OPT_HELP
};

static const struct option options[] = {
    {"address", required_argument, NULL, OPT_ADDRESS},
    {"port", required_argument, NULL, OPT_PORT},
    {"tls-cert", required_argument, NULL, OPT_CERT},
    {"tls-key", required_argument, NULL, OPT_KEY},
    {"account", required_argument, NULL, OPT_ACCOUNT},
    {"public-key", required_argument, NULL, OPT_PUBLIC_KEY},
    {"pat", required_argument, NULL, OPT_PAT},
    {"oauth-token", required_argument, NULL, OPT_OAUTH},
    {"user", required_argument, NULL, OPT_USER},
    {"oauth-client", required_argument, NULL, OPT_CLIENT},
    {"external-oauth", required_argument, NULL, OPT_EXTERNAL},
    {"workload-issuer", required_argument, NULL, OPT_WORKLOAD_ISSUER},
    {"workload-user", required_argument, NULL, OPT_WORKLOAD_USER},
    {"service-token", required_argument, NULL, OPT_SERVICE},
    {"no-auth", no_argument, NULL, OPT_NO_AUTH},
    {"record", required_argument, NULL, OPT_RECORD},
    {"bare-partitions", no_argument, NULL, OPT_BARE},
    {"data-dir", required_argument, NULL, OPT_DATA_DIR},
    {"scale", required_argument, NULL, OPT_SCALE},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"partition-bytes", required_argument, NULL, OPT_PARTITION},
    {"control", no_argument, NULL, OPT_CONTROL},
    {"stub", no_argument, NULL, OPT_STUB},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static bool read_integer(const char *name, int64_t min, int64_t max, int64_t *out)
{
	if (!parse_int(optarg, min, max, out))
		return complain("--%s is a number from %lld to %lld", name, (long long)min, (long long)max);
	return true;
}

static bool read_scale(double *out)
{
	char *end;

	*out = strtod(optarg, &end);
	if (end == optarg || *end || !(*out > 0) || *out > 10)
		return complain("--scale is a number above 0, at most 10");
	return true;
}

/* Kept in order: a user is there before his keys. */
static bool add_credential(struct arguments *a, int id)
{
	a->credentials = xrealloc(a->credentials, (a->credentials_n + 1) * sizeof(*a->credentials));
	a->credentials[a->credentials_n++] = (struct credential){id, optarg};
	return true;
}

static bool read_valued_option(struct arguments *a, int id)
{
	switch (id) {
	case OPT_PORT:
		return read_integer("port", 0, 65535, &a->port);
	case OPT_SCALE:
		return read_scale(&a->scale);
	case OPT_THREADS:
		return read_integer("threads", 1, 1024, &a->threads);
	case OPT_PARTITION:
		return read_integer("partition-bytes", 1, (int64_t)EMULATOR_PARTITION_BYTES_MAX, &a->partition_bytes);
	case OPT_PUBLIC_KEY:
	case OPT_PAT:
	case OPT_OAUTH:
	case OPT_USER:
	case OPT_CLIENT:
	case OPT_EXTERNAL:
	case OPT_WORKLOAD_ISSUER:
	case OPT_WORKLOAD_USER:
	case OPT_SERVICE:
		return add_credential(a, id);
	default:
		return false;
	}
}

static bool read_option(struct arguments *a, int id)
{
	switch (id) {
	case OPT_ADDRESS:
		a->address = optarg;
		return true;
	case OPT_CERT:
		a->tls_certificate = optarg;
		return true;
	case OPT_KEY:
		a->tls_key = optarg;
		return true;
	case OPT_ACCOUNT:
		a->account = optarg;
		return true;
	case OPT_DATA_DIR:
		a->data_dir = optarg;
		return true;
	case OPT_RECORD:
		a->record = optarg;
		return true;
	case OPT_NO_AUTH:
		return a->no_auth = true;
	case OPT_BARE:
		return a->bare_partitions = true;
	case OPT_CONTROL:
		return a->control = true;
	case OPT_STUB:
		return a->stub = true;
	case OPT_HELP:
		(void)fputs(help, stdout);
		exit(0);
	default:
		return read_valued_option(a, id);
	}
}

static bool address_is_loopback(const char *address)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, address, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool read_arguments(int argc, char **argv, struct arguments *a)
{
	int id;

	while ((id = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (!read_option(a, id))
			return false;
	}
	if (optind < argc)
		return complain("unexpected argument %s", argv[optind]);
	if (a->no_auth && !address_is_loopback(a->address))
		return complain("--no-auth needs a loopback --address");
	if (!a->tls_certificate != !a->tls_key)
		return complain("--tls-cert and --tls-key belong together");
	return true;
}

/* The file as text; NULL with a complaint. */
static char *file_read(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text;
	size_t n;

	if (!file) {
		complain("%s: %s", path, strerror(errno));
		return NULL;
	}
	text = xalloc(FILE_MAX + 1);
	n = fread(text, 1, FILE_MAX, file);
	(void)fclose(file);
	text[n] = 0;
	return text;
}

/* LEFT=NAME[:ROLE,...]. With roles it is cut at the last '=': a token may hold one (base64), a user's name may not.
 * Texts are owned. */
struct subject {
	char *left, *user;
	const char *roles; /* NULL: none given */
};

static bool subject_read(const char *argument, bool with_roles, struct subject *s)
{
	const char *equals = with_roles ? strrchr(argument, '=') : strchr(argument, '=');

	if (!equals || equals == argument || !equals[1])
		return false;
	s->left = xstrndup(argument, (size_t)(equals - argument));
	s->user = xstrdup(equals + 1);
	s->roles = with_roles ? strchr(s->user, ':') : NULL;
	if (s->roles) {
		s->user[s->roles - s->user] = 0;
		s->roles++;
	}
	return true;
}

static void subject_free(struct subject *s)
{
	free(s->left);
	free(s->user);
}

static bool load_key(struct keyring *keyring, const struct subject *s)
{
	char *pem = file_read(s->user);
	bool ok = pem && keyring_add_key(keyring, s->left, pem);

	if (pem && !ok)
		complain("%s holds no RSA public key in PEM, or %s has two already", s->user, s->left);
	free(pem);
	return ok;
}

static bool load_issuer(struct keyring *keyring, const struct subject *s, bool wif)
{
	char *pem = file_read(s->user), *comma = wif ? NULL : strchr(s->left, ',');
	bool ok;

	if (comma)
		*comma++ = 0;
	ok = pem && keyring_set_issuer(keyring, &(struct issuer_spec){
						    .wif = wif, .issuer = s->left, .audience = comma, .pems = {pem}});
	if (pem && !ok)
		complain("%s holds no RSA public key in PEM", s->user);
	free(pem);
	return ok;
}

static bool load_client(struct oauth *oauth, const struct subject *s)
{
	char *secret = strchr(s->left, ':');

	if (!secret)
		return complain("--oauth-client is ID:SECRET=USER[:ROLE,...]");
	*secret++ = 0;
	oauth_set_client(oauth,
			 &(struct oauth_client_spec){
			     .id = s->left, .secret = secret, .user = s->user, .roles = s->roles, .rotates = true});
	return true;
}

static bool load_workload_user(struct keyring *keyring, const struct subject *s)
{
	char *comma = strchr(s->user, ',');

	if (!comma)
		return complain("--workload-user is USER=ISSUER,SUBJECT");
	*comma++ = 0;
	keyring_set_user(keyring, &(struct user_spec){.name = s->left, .wif_issuer = s->user, .wif_subject = comma});
	return true;
}

static bool load_subject(struct emulator *emulator, int option, const struct subject *s)
{
	struct keyring *keyring = emulator->keyring;

	switch (option) {
	case OPT_PUBLIC_KEY:
		return load_key(keyring, s);
	case OPT_EXTERNAL:
	case OPT_WORKLOAD_ISSUER:
		return load_issuer(keyring, s, option == OPT_WORKLOAD_ISSUER);
	case OPT_CLIENT:
		return load_client(emulator->oauth, s);
	case OPT_WORKLOAD_USER:
		return load_workload_user(keyring, s);
	case OPT_SERVICE:
		keyring_set_service(keyring, s->left, s->user, s->roles);
		return true;
	default:
		keyring_add(keyring, option == OPT_OAUTH ? TOKEN_OAUTH : TOKEN_PAT, s->left, s->user, s->roles, 0);
		return true;
	}
}

static void load_user(struct keyring *keyring, const char *argument)
{
	const char *colon = strchr(argument, ':');
	char *name = xstrndup(argument, colon ? (size_t)(colon - argument) : strlen(argument));
	char *first = colon ? xstrndup(colon + 1, strcspn(colon + 1, ",")) : NULL;

	keyring_set_user(keyring,
			 &(struct user_spec){.name = name, .roles = colon ? colon + 1 : NULL, .default_role = first});
	free(name);
	free(first);
}

/* Workload issuers and file names may hold colons: those options have no roles. */
static bool has_roles(int option)
{
	return option == OPT_PAT || option == OPT_OAUTH || option == OPT_CLIENT || option == OPT_SERVICE;
}

static bool load_credential(struct emulator *emulator, const struct credential *c)
{
	struct subject s;
	bool ok;

	if (c->option == OPT_USER && !*c->argument)
		return complain("--user is USER[:ROLE,...]");
	if (c->option == OPT_USER) {
		load_user(emulator->keyring, c->argument);
		return true;
	}
	if (!subject_read(c->argument, has_roles(c->option), &s))
		return complain("%s is not of the form that --help shows", c->argument);
	ok = load_subject(emulator, c->option, &s);
	subject_free(&s);
	return ok;
}

static bool load_credentials(struct emulator *emulator, const struct arguments *a)
{
	for (size_t i = 0; i < a->credentials_n; i++) {
		if (!load_credential(emulator, &a->credentials[i]))
			return false;
	}
	return true;
}

static bool open_engine(struct emulator *emulator, const struct arguments *a)
{
	const struct engine_options engine_options = {
	    .data_dir = a->data_dir,
	    .sample_data = true,
	    .sample_scale = a->scale,
	};
	char why[512] = "";

	if (a->stub)
		return true;
	emulator->engine = engine_open(&engine_options, why, sizeof(why));
	return emulator->engine || complain("the engine does not start: %s", why);
}

static bool open_record(struct emulator *emulator, const struct arguments *a)
{
	if (a->record)
		emulator->record = record_open(a->record);
	return !a->record || emulator->record || complain("%s: %s", a->record, strerror(errno));
}

static void on_wake(void *context)
{
	struct emulator *emulator = context;

	pool_collect(emulator->pool);
}

/* SIGINT and SIGTERM arrive through a descriptor; blocked before any thread starts. */
static int signals_open(void)
{
	sigset_t set;

	(void)signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool open_server(struct emulator *emulator, const struct arguments *a, int wake_fd, int signal_fd)
{
	struct server_options o = {
	    .address = a->address,
	    .port = (uint16_t)a->port,
	    .wake_fd = wake_fd,
	    .on_wake = on_wake,
	    .signal_fd = signal_fd,
	    .wheel = emulator->wheel,
	    .ops = {api_opened, api_serve, api_leave, emulator},
	};
	char why[512] = "";

	if (a->tls_key) {
		o.tls_certificate = file_read(a->tls_certificate);
		o.tls_key = file_read(a->tls_key);
	}
	if (!a->tls_key || (o.tls_certificate && o.tls_key))
		emulator->server = server_open(&o, why, sizeof(why));
	if (!emulator->server && *why)
		complain("%s", why);
	free(o.tls_certificate);
	free(o.tls_key);
	return emulator->server != NULL;
}

static void serve(struct emulator *emulator)
{
	struct rlimit files;

	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	(void)printf("{\"event\":\"listening\",\"port\":%u}\n", (unsigned)server_port(emulator->server));
	(void)fflush(stdout);
	server_run(emulator->server);
}

static void emulator_close(struct emulator *emulator)
{
	if (emulator->registry)
		registry_stop(emulator->registry);
	if (emulator->server)
		server_close(emulator->server);
	if (emulator->pool)
		pool_free(emulator->pool);
	if (emulator->registry)
		registry_free(emulator->registry);
	if (emulator->engine)
		engine_close(emulator->engine);
	stub_close();
	control_free(emulator->control);
	cortex_free(emulator->cortex);
	record_close(emulator->record);
	oauth_free(emulator->oauth);
	keyring_free(emulator->keyring);
	wheel_free(emulator->wheel);
}

int main(int argc, char **argv)
{
	struct arguments a = {.address = "127.0.0.1",
			      .port = 8084,
			      .account = EMULATOR_ACCOUNT,
			      .scale = 0.01,
			      .threads = THREADS_DEFAULT};
	struct emulator emulator = {.wheel = NULL};
	int signal_fd, wake_fd;
	bool ok;

	if (!read_arguments(argc, argv, &a))
		return 2;
	signal_fd = signals_open();
	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	emulator = (struct emulator){.control_enabled = a.control,
				     .stub = a.stub,
				     .bare_partitions = a.bare_partitions,
				     .tls = a.tls_key,
				     .partition_bytes = (size_t)a.partition_bytes,
				     .wheel = wheel_new(),
				     .keyring = keyring_new(a.account, a.no_auth),
				     .cortex = cortex_new(),
				     .control = control_new()};
	emulator.oauth = oauth_new(emulator.keyring);
	ok = load_credentials(&emulator, &a) && open_record(&emulator, &a) && open_engine(&emulator, &a);
	if (ok) {
		emulator.pool = pool_new((size_t)a.threads, wake_fd);
		emulator.registry = registry_new(&emulator);
		ok = open_server(&emulator, &a, wake_fd, signal_fd);
	}
	if (ok)
		serve(&emulator);
	emulator_close(&emulator);
	close(signal_fd);
	close(wake_fd);
	free(a.credentials);
	return ok ? 0 : 1;
}
