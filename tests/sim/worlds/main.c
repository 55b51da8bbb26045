/* Runs worlds: `worlds OBJECT [--from SEED] [--seeds N] [--chart [CALL]] [--first]`. Worlds are run by children, some
 * at a time, so that what a killed process leaves in memory ends with them. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

enum { WORLDS_OF_CHILD = 20, BROKEN = 3 };

/* Written by the child, read by its parent. */
static struct shared {
	uint64_t seed, worlds, calls;
} * shared;

static struct {
	const char *object;
	uint64_t from, seeds;
	bool all, first;
	uint32_t call;
} options = {.from = 1, .seeds = 200};

void violation(uint32_t op, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("seed %llu, %.1f ms: ", (unsigned long long)world.seed,
	       (double)(clock_now() - world.began) / USEC_PER_MS);
	vprintf(format, args);
	putchar('\n');
	va_end(args);
	if (charting)
		chart_print(stdout, options.all ? 0 : options.call ? options.call : op);
	fflush(stdout);
	_exit(BROKEN);
}

static void child(uint64_t from, uint64_t to)
{
	for (uint64_t seed = from; seed < to; seed++) {
		shared->seed = seed;
		shared->calls += world_run(seed);
		shared->worlds++;
		if (charting)
			chart_print(stdout, options.call);
	}
	fflush(stdout);
	_exit(0);
}

static bool run(uint64_t from, uint64_t to)
{
	pid_t pid;
	int status = 0;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		child(from, to);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		exit(2);
	if (WIFSIGNALED(status))
		printf("seed %llu: ended by signal %d\n", (unsigned long long)shared->seed, WTERMSIG(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static uint64_t number_of(const char *text)
{
	char *end;
	uint64_t n = text ? strtoull(text, &end, 10) : 0;

	if (!text || *end) {
		fprintf(stderr, "a number is wanted\n");
		exit(2);
	}
	return n;
}

static void read_options(int argc, char **argv)
{
	options.object = argc > 1 ? argv[1] : NULL;
	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "--from"))
			options.from = number_of(argv[++i]);
		else if (!strcmp(argv[i], "--seeds"))
			options.seeds = number_of(argv[++i]);
		else if (!strcmp(argv[i], "--call"))
			options.call = (uint32_t)number_of(argv[++i]);
		else if (!strcmp(argv[i], "--chart"))
			charting = true;
		else if (!strcmp(argv[i], "--all"))
			options.all = true;
		else if (!strcmp(argv[i], "--first"))
			options.first = true;
	}
}

int main(int argc, char **argv)
{
	uint64_t broken = 0, seed;

	read_options(argc, argv);
	if (!options.object)
		return 2;
	worlds_load(options.object);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 2;
	seed = options.from;
	while (seed < options.from + options.seeds && !(broken && options.first)) {
		uint64_t to = seed + WORLDS_OF_CHILD, end = options.from + options.seeds;

		if (run(seed, to < end ? to : end)) {
			seed = to;
			continue;
		}
		broken++;
		seed = shared->seed + 1;
	}
	printf("worlds %llu, calls %llu, broken %llu\n", (unsigned long long)shared->worlds,
	       (unsigned long long)shared->calls, (unsigned long long)broken);
	return broken ? 1 : 0;
}
