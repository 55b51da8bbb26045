/* One GET for `snowgate health`; here because curl is. */
#include <curl/curl.h>
#include <stdio.h>

#include "snowgate/base.h"
#include "snowgate/probe.h"

#define PROBE_SECONDS 5L

static size_t discard(char *data UNUSED, size_t size, size_t n, void *ctx UNUSED)
{
	return size * n;
}

int probe_health(const char *url)
{
	CURL *easy = curl_easy_init();
	CURLcode rc;
	long status = 0;

	if (!easy)
		return 1;
	curl_easy_setopt(easy, CURLOPT_URL, url ? url : "http://127.0.0.1:9090/readyz");
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_TIMEOUT, PROBE_SECONDS);
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
	rc = curl_easy_perform(easy);
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(easy);
	if (rc == CURLE_OK && status >= 200 && status < 300)
		return 0;
	fprintf(stderr, "snowgate: %s: %s\n", url ? url : "readyz",
		rc != CURLE_OK ? curl_easy_strerror(rc) : "not ready");
	return 1;
}
