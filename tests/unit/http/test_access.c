/* Who may call: Host, Origin, CORS and the client's address behind proxies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "../../../src/http/access.h"

static const char *const hosts[] = {"gate.example", "exact.example:8443", "[2001:db8::1]"};
static const char *const origins[] = {"https://app.example", "http://intra.example:3000", "https://App2.example/"};
static const char *const proxies[] = {"10.0.0.0/8", "192.0.2.7", "fd00::/8", "172.16.0.0/33", "nonsense"};

static const struct conf plain = {.listen_public_url = ""};
static const struct conf full = {.listen_public_url = "https://mcp.corp.example/mcp",
				 .listen_allowed_hosts = {ARRAY_LEN(hosts), hosts},
				 .listen_allowed_origins = {ARRAY_LEN(origins), origins},
				 .listen_trusted_proxies = {ARRAY_LEN(proxies), proxies}};

static const struct {
	const struct conf *conf;
	const char *listen, *local, *host;
	bool served;
} host_rows[] = {
    {&plain, "127.0.0.1", "127.0.0.1", "localhost", true},
    {&plain, "127.0.0.1", "127.0.0.1", "LocalHost:8080", true},
    {&plain, "127.0.0.1", "127.0.0.1", "127.0.0.1:8080", true},
    {&plain, "127.0.0.1", "127.0.0.1", "[::1]:8080", true},
    {&plain, "[::1]", "::1", "[::1]", true},
    {&plain, "::1", "::1", "localhost:1", true},
    {&plain, "unix:/run/gate.sock", "", "localhost", true},
    {&plain, "unix:/run/gate.sock", "", "gate", false},
    {&plain, "127.0.0.1", "127.0.0.1", "evil.example", false},
    {&plain, "127.0.0.1", "127.0.0.1", "localhost.evil.example", false},
    {&plain, "127.0.0.1", "127.0.0.1", "127.0.0.1.evil.example", false},
    {&plain, "127.0.0.1", "127.0.0.1", "unix:1", false},
    {&plain, "127.0.0.1", "127.0.0.1", "localhost:", false},
    {&plain, "127.0.0.1", "127.0.0.1", "localhost:0", false},
    {&plain, "127.0.0.1", "127.0.0.1", "localhost:99999", false},
    {&plain, "127.0.0.1", "127.0.0.1", "localhost:80x", false},
    {&plain, "127.0.0.1", "127.0.0.1", "", false},
    {&plain, "127.0.0.1", "127.0.0.1", ":80", false},
    {&plain, "127.0.0.1", "127.0.0.1", "[]", false},
    {&plain, "127.0.0.1", "127.0.0.1", "[::1", false},
    {&plain, "127.0.0.1", "127.0.0.1", "[::1]80", false},
    /* an address of its own: its name, and no other */
    {&plain, "192.0.2.1", "192.0.2.1", "192.0.2.1:8080", true},
    {&plain, "192.0.2.1", "192.0.2.1", "localhost", false},
    {&plain, "[2001:db8::7]", "2001:db8::7", "[2001:db8::7]:8080", true},
    /* a wildcard: the address that was connected to, and loopback */
    {&plain, "0.0.0.0", "198.51.100.4", "198.51.100.4:80", true},
    {&plain, "0.0.0.0", "198.51.100.4", "198.51.100.5", false},
    {&plain, "0.0.0.0", "198.51.100.4", "0.0.0.0:8080", false},
    {&plain, "::", "::1", "localhost:8080", true},
    /* what configuration adds */
    {&full, "192.0.2.1", "192.0.2.1", "mcp.corp.example", true},
    {&full, "192.0.2.1", "192.0.2.1", "MCP.corp.example:443", true},
    {&full, "192.0.2.1", "192.0.2.1", "corp.example", false},
    {&full, "192.0.2.1", "192.0.2.1", "gate.example:1234", true},
    {&full, "192.0.2.1", "192.0.2.1", "exact.example:8443", true},
    {&full, "192.0.2.1", "192.0.2.1", "exact.example", false},
    {&full, "192.0.2.1", "192.0.2.1", "exact.example:443", false},
    {&full, "192.0.2.1", "192.0.2.1", "[2001:db8::1]:80", true},
};

static void hosts_are_served_by_name(void **state)
{

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(host_rows); i++) {
		struct site site = site_of(host_rows[i].listen);

		if (host_served(host_rows[i].conf, &site, host_rows[i].local, slice_of(host_rows[i].host)) !=
		    host_rows[i].served)
			fail_msg("%s on %s", host_rows[i].host, host_rows[i].listen);
	}
}

static void origins_are_compared_whole(void **state)
{
	static const struct {
		const struct conf *conf;
		const char *listen, *origin;
		bool allowed;
	} rows[] = {
	    {&plain, "127.0.0.1", "http://localhost", true},
	    {&plain, "127.0.0.1", "http://localhost:5173", true},
	    {&plain, "127.0.0.1", "https://127.0.0.1:1", true},
	    {&plain, "127.0.0.1", "http://[::1]:6274", true},
	    {&plain, "127.0.0.1", "null", false},
	    {&plain, "127.0.0.1", "", false},
	    {&plain, "127.0.0.1", "localhost", false},
	    {&plain, "127.0.0.1", "file://localhost", false},
	    {&plain, "127.0.0.1", "http://localhost/", false},
	    {&plain, "127.0.0.1", "http://localhost@evil.example", false},
	    {&plain, "127.0.0.1", "http://localhost.evil.example", false},
	    {&plain, "127.0.0.1", "http://localhost:80:80", false},
	    {&plain, "127.0.0.1", "http://localhost http://evil.example", false},
	    {&plain, "127.0.0.1", "http://", false},
	    {&plain, "127.0.0.1", "://localhost", false},
	    /* on any other address a local page is a stranger */
	    {&plain, "0.0.0.0", "http://localhost:5173", false},
	    {&plain, "192.0.2.1", "http://localhost", false},
	    {&full, "192.0.2.1", "https://mcp.corp.example", true},
	    {&full, "192.0.2.1", "https://mcp.corp.example:443", true},
	    {&full, "192.0.2.1", "http://mcp.corp.example", false},
	    {&full, "192.0.2.1", "https://mcp.corp.example:8443", false},
	    {&full, "192.0.2.1", "https://app.example", true},
	    {&full, "192.0.2.1", "HTTPS://APP.example", true},
	    {&full, "192.0.2.1", "https://app.example.evil", false},
	    {&full, "192.0.2.1", "https://x.app.example", false},
	    {&full, "192.0.2.1", "http://intra.example:3000", true},
	    {&full, "192.0.2.1", "http://intra.example", false},
	    {&full, "192.0.2.1", "https://app2.example", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct site site = site_of(rows[i].listen);

		if (origin_allowed(rows[i].conf, &site, slice_of(rows[i].origin)) != rows[i].allowed)
			fail_msg("%s on %s", rows[i].origin, rows[i].listen);
	}
}

static void preflights_may_name_parameters(void **state)
{
	struct buf b = buf_with_ceiling(4096);

	(void)state;
	assert_true(cors_allowed_headers(&b, (struct slice){NULL, 0}));
	assert_non_null(
	    strstr(buf_text(&b), "Authorization, Content-Type, Accept, Mcp-Session-Id, MCP-Protocol-Version"));
	assert_null(strstr(buf_text(&b), "param"));
	buf_clear(&b);
	assert_true(cors_allowed_headers(
	    &b,
	    SLICE("mcp-param-region,Mcp-Param-X1 , mcp-param-, mcp-param-a_b, x-mcp-param-a, mcp-param-a\r\nX: y")));
	assert_non_null(strstr(buf_text(&b), "baggage, mcp-param-region, Mcp-Param-X1"));
	assert_null(strstr(buf_text(&b), "a_b"));
	assert_null(strstr(buf_text(&b), "x-mcp"));
	assert_null(strchr(buf_text(&b), '\n'));
	buf_free(&b);
}

static void proxies_are_believed_only_where_trusted(void **state)
{
	static const struct {
		const char *peer, *forwarded, *client;
	} rows[] = {
	    {"203.0.113.9", "1.2.3.4", "203.0.113.9"},
	    {"10.1.2.3", NULL, "10.1.2.3"},
	    {"10.1.2.3", "", "10.1.2.3"},
	    {"10.1.2.3", "1.2.3.4", "1.2.3.4"},
	    {"10.1.2.3", "6.6.6.6, 1.2.3.4", "1.2.3.4"},
	    {"10.1.2.3", "6.6.6.6, 1.2.3.4, 10.9.9.9", "1.2.3.4"},
	    {"10.1.2.3", "1.2.3.4, 192.0.2.7 ,10.9.9.9", "1.2.3.4"},
	    {"192.0.2.7", "1.2.3.4:5678", "1.2.3.4"},
	    {"192.0.2.8", "1.2.3.4", "192.0.2.8"},
	    {"fd00::1", "[2001:db8::5]:99", "2001:db8::5"},
	    {"fd00::1", "2001:db8::5", "2001:db8::5"},
	    {"10.1.2.3", "junk", "10.1.2.3"},
	    {"10.1.2.3", "1.2.3.4, junk, 10.9.9.9", "10.9.9.9"},
	    {"10.1.2.3", ",,,", "10.1.2.3"},
	    {"10.1.2.3", "10.0.0.1", "10.0.0.1"},
	    {"172.16.0.1", "1.2.3.4", "172.16.0.1"}, /* its network is not one */
	    {"unix", "1.2.3.4", "unix"},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		client_address(&full, rows[i].peer, slice_of(rows[i].forwarded), out);
		if (strcmp(out, rows[i].client) != 0)
			fail_msg("%s by %s: %s", rows[i].forwarded, rows[i].peer, out);
	}
	client_address(&plain, "10.1.2.3", SLICE("1.2.3.4"), out);
	assert_string_equal(out, "10.1.2.3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hosts_are_served_by_name),
	    cmocka_unit_test(origins_are_compared_whole),
	    cmocka_unit_test(preflights_may_name_parameters),
	    cmocka_unit_test(proxies_are_believed_only_where_trusted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
