/* Counters, gauges and histograms in one shard per thread, and the Prometheus text they are read as. */
#include "snowgate/metric.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "snowgate/mail.h"

enum metric_type { COUNTER, GAUGE, HISTOGRAM };

static const struct metric_info {
	enum metric_type type;
	const char *name, *help, *label, *values;
} table[METRICS_N] = {
#define METRIC(id, type, name, help, label, values) {type, name, help, label, values},
#include "snowgate/tbl/metric.def"
#undef METRIC
};

/* Upper bounds in microseconds: from a cached answer to the longest statement. Beyond the last one comes +Inf. */
static const struct bound {
	usec_t usec;
	const char *text;
} bounds[] = {
    {1000, "0.001"}, {5000, "0.005"},  {10000, "0.01"},  {25000, "0.025"},   {50000, "0.05"},
    {100000, "0.1"}, {250000, "0.25"}, {500000, "0.5"},  {1000000, "1"},     {2500000, "2.5"},
    {5000000, "5"},  {10000000, "10"}, {30000000, "30"}, {120000000, "120"},
};
enum { INF = ARRAY_LEN(bounds), SUM = INF + 1, CELLS = SUM + 1 };

/* A label has at most CELLS values; a histogram uses a cell per bucket and the last for its sum in microseconds. Both
 * WORKER threads share a shard, as do threads that have not said who they are: so the adds are atomic. */
static struct shard {
	_Alignas(64) _Atomic int64_t cells[METRICS_N][CELLS];
} shards[THREADS_N];

static void add(enum metric m, size_t cell, int64_t by)
{
	atomic_fetch_add_explicit(&shards[thread_self()].cells[m][cell], by, memory_order_relaxed);
}

static int64_t sum(enum metric m, size_t cell)
{
	int64_t total = 0;
	for (size_t i = 0; i < THREADS_N; i++)
		total += atomic_load_explicit(&shards[i].cells[m][cell], memory_order_relaxed);
	return total;
}

/* The next of a "|"-separated list; false at its end. */
static bool next_value(const char **list, struct slice *out)
{
	if (!*list)
		return false;
	const char *bar = strchr(*list, '|');
	*out = (struct slice){*list, bar ? (size_t)(bar - *list) : strlen(*list)};
	*list = bar ? bar + 1 : NULL;
	return true;
}

/* The cell of a label's value; the last one for what is not in the list. */
static size_t cell_of(enum metric m, const char *value)
{
	const char *list = table[m].values;
	struct slice known;
	size_t cell = 0;
	for (; next_value(&list, &known); cell++)
		if (value && slice_is(known, value))
			return cell;
	return cell ? cell - 1 : 0;
}

void metric_add(enum metric m, const char *value, int64_t by)
{
	assert(m < METRICS_N && table[m].type != HISTOGRAM);
	add(m, cell_of(m, value), by);
}

void metric_observe(enum metric m, usec_t duration)
{
	assert(m < METRICS_N && table[m].type == HISTOGRAM);
	size_t bucket = 0;
	while (bucket < INF && duration > bounds[bucket].usec)
		bucket++;
	add(m, bucket, 1);
	add(m, SUM, duration);
}

int64_t metric_value(enum metric m, const char *value)
{
	assert(m < METRICS_N);
	if (table[m].type != HISTOGRAM)
		return sum(m, cell_of(m, value));
	int64_t count = 0;
	for (size_t i = 0; i <= INF; i++)
		count += sum(m, i);
	return count;
}

void metric_reset(void)
{
	for (size_t i = 0; i < THREADS_N; i++)
		for (size_t m = 0; m < METRICS_N; m++)
			for (size_t cell = 0; cell < CELLS; cell++)
				atomic_store_explicit(&shards[i].cells[m][cell], 0, memory_order_relaxed);
}

/* The text. */

static bool write_head(struct buf *b, const char *name, const char *help, const char *type)
{
	return buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static bool write_histogram(struct buf *b, enum metric m)
{
	const char *name = table[m].name;
	bool ok = write_head(b, name, table[m].help, "histogram");
	int64_t count = 0;
	for (size_t i = 0; ok && i <= INF; i++) {
		count += sum(m, i);
		ok = buf_addf(b, "%s_bucket{le=\"%s\"} %lld\n", name, i < INF ? bounds[i].text : "+Inf",
			      (long long)count);
	}
	return ok && buf_addf(b, "%s_sum %.6f\n%s_count %lld\n", name, (double)sum(m, SUM) / (double)USEC_PER_S, name,
			      (long long)count);
}

static bool write_plain(struct buf *b, enum metric m)
{
	const struct metric_info *info = &table[m];
	bool ok = write_head(b, info->name, info->help, info->type == COUNTER ? "counter" : "gauge");
	if (!info->label)
		return ok && buf_addf(b, "%s %lld\n", info->name, (long long)sum(m, 0));
	const char *list = info->values;
	struct slice value;
	for (size_t cell = 0; ok && next_value(&list, &value); cell++)
		ok = buf_addf(b, "%s{%s=\"%.*s\"} %lld\n", info->name, info->label, (int)value.n, value.data,
			      (long long)sum(m, cell));
	return ok;
}

static bool write_one(struct buf *b, const char *name, const char *help, const char *type, double value)
{
	return write_head(b, name, help, type) && buf_addf(b, "%s %.17g\n", name, value);
}

static double count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	if (!dir)
		return 0;
	int n = -3; /* ".", ".." and the one just opened */
	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n;
}

/* The number in field `wanted` (from 1) of a one-line file of /proc; fields are counted behind the last ')', so that a
 * program's name cannot shift them. */
static double proc_field(const char *path, int wanted)
{
	char text[1024];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		(void)close(fd);
	text[n > 0 ? n : 0] = '\0';
	const char *paren = strrchr(text, ')'), *p = paren ? paren + 1 : text;
	for (int field = 1; field < wanted; field++) {
		p += strspn(p, " ");
		p += strcspn(p, " ");
	}
	return strtod(p, NULL);
}

/* /proc/self/stat counts from boot: field 22, which is the 20th behind the name, in clock ticks. */
static double start_time(void)
{
	double ticks = proc_field("/proc/self/stat", 20);
	char text[4096];
	int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
	double boot = 0;
	struct buf all = buf_with_ceiling(1 << 20);
	for (ssize_t n; fd >= 0 && (n = read(fd, text, sizeof(text))) > 0;)
		(void)buf_add(&all, text, (size_t)n);
	const char *line = strstr(buf_text(&all), "\nbtime ");
	if (line)
		boot = strtod(line + 7, NULL);
	buf_free(&all);
	if (fd >= 0)
		(void)close(fd);
	return boot + ticks / (double)sysconf(_SC_CLK_TCK);
}

static bool write_process(struct buf *b)
{
	struct rusage usage = {0};
	struct rlimit files = {0};
	(void)getrusage(RUSAGE_SELF, &usage);
	(void)getrlimit(RLIMIT_NOFILE, &files);
	double page = (double)sysconf(_SC_PAGESIZE);
	double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	return write_one(b, "process_cpu_seconds_total", "CPU time spent, user and system", "counter", cpu) &&
	       write_one(b, "process_resident_memory_bytes", "resident memory", "gauge",
			 proc_field("/proc/self/statm", 2) * page) &&
	       write_one(b, "process_virtual_memory_bytes", "virtual memory", "gauge",
			 proc_field("/proc/self/statm", 1) * page) &&
	       write_one(b, "process_open_fds", "open file descriptors", "gauge", count_descriptors()) &&
	       write_one(b, "process_max_fds", "file descriptors allowed", "gauge", (double)files.rlim_cur) &&
	       write_one(b, "process_start_time_seconds", "start, seconds since the epoch", "gauge", start_time());
}

bool metric_write(struct buf *b)
{
	bool ok = true;
	for (enum metric m = 0; ok && m < METRICS_N; m++)
		ok = table[m].type == HISTOGRAM ? write_histogram(b, m) : write_plain(b, m);
	return ok && write_process(b);
}
