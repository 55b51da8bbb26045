/* Preloaded by tests: look-ups of "switched.example" do what the file named by $LOOKUP_SWITCH says: "fine" (127.0.0.1),
 * "gone" (no such name) or "hang" (ten seconds, then no such name). Every other name is the system's. */
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char told(void)
{
	const char *path = getenv("LOOKUP_SWITCH");
	FILE *f = path ? fopen(path, "r") : NULL;
	int c = f ? fgetc(f) : 'f';

	if (f)
		fclose(f);
	return (char)c;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	char what;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (!node || strcmp(node, "switched.example"))
		return real(node, service, hints, res);
	what = told();
	if (what == 'f')
		return real("127.0.0.1", service, hints, res);
	if (what == 'h')
		sleep(10);
	return EAI_NONAME;
}
