/* The one thread of a world: whose turn it is, how time goes by, who dies, stands still and begins again. */
#include "world.h"

#include <dlfcn.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "snowgate/file.h"

/* A world that takes more turns than this goes round in circles. */
#define TURNS_MAX 4000000

struct world world;

static uint64_t dice;
static jmp_buf deaths[REPLICAS_MAX];
static int inside[REPLICAS_MAX];

/* ---- chance ---- */

uint64_t chance(uint64_t n)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (dice * 0x2545F4914F6CDD1Du >> 16) % n;
}

bool one_in(uint64_t n)
{
	return n && chance(n) == 0;
}

usec_t between(usec_t least, usec_t most)
{
	return least + (usec_t)chance((uint64_t)(most - least) + 1);
}

void after(struct timer *t, usec_t time, void (*fire)(struct timer *))
{
	t->fire = fire;
	timer_set(world.wheel, t, clock_now() + time);
}

static void give_random(void *ctx, void *out, size_t n)
{
	unsigned char *at = out;

	(void)ctx;
	while (n--)
		*at++ = (unsigned char)chance(256);
}

/* ---- processes: the shared object, once for each ---- */

struct segment {
	const char *file;
	char *data;
	size_t n;
};

/* The writable part that is not read-only after relocation. */
static int find_data(struct dl_phdr_info *info, size_t size, void *ctx)
{
	struct segment *s = ctx;
	uintptr_t begin = 0, end = 0;

	(void)size;
	if (strcmp(info->dlpi_name, s->file) != 0)
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD && (p->p_flags & PF_W)) {
			begin = begin ? begin : info->dlpi_addr + p->p_vaddr;
			end = info->dlpi_addr + p->p_vaddr + p->p_memsz;
		}
	}
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_GNU_RELRO && info->dlpi_addr + p->p_vaddr + p->p_memsz > begin)
			begin = info->dlpi_addr + p->p_vaddr + p->p_memsz;
	}
	s->data = (char *)begin;
	s->n = end - begin;
	return 1;
}

static void load(struct replica *r, const char *bytes, size_t n)
{
	int fd = memfd_create("replica", MFD_CLOEXEC);
	char path[64];
	struct segment s = {.file = path};
	void *object;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (fd < 0 || write(fd, bytes, n) != (ssize_t)n || !(object = dlopen(path, RTLD_NOW | RTLD_LOCAL)) ||
	    !(r->ops = dlsym(object, REPLICA_OPS)) || !dl_iterate_phdr(find_data, &s)) {
		fprintf(stderr, "the gateway cannot be loaded: %s\n", dlerror());
		exit(2);
	}
	r->data = s.data;
	r->data_n = s.n;
	r->fresh = xalloc(s.n);
	memcpy(r->fresh, s.data, s.n);
}

void worlds_load(const char *object)
{
	size_t n;
	char *bytes = file_read(object, (size_t)256 << 20, &n);

	if (!bytes) {
		fprintf(stderr, "%s cannot be read\n", object);
		exit(2);
	}
	for (int i = 0; i < REPLICAS_MAX; i++)
		load(&world.v[i], bytes, n);
	free(bytes);
}

/* ---- into a process, and what happens when it dies there ---- */

static void begin_again(struct timer *t);

static void disturb(struct replica *r)
{
	r->disturbed = world.last_fault = clock_now();
}

static void die(struct replica *r)
{
	chart(GATEWAY, GATEWAY, 0, "g%d is killed", r->number);
	disturb(r);
	r->alive = false;
	r->doom = 0;
	inside[r->number] = 0;
	memcpy(r->data, r->fresh, r->data_n);
	people_broken(r->number);
	snow_wire(r);
	timer_stop(&r->wakes);
	after(&r->wakes, world.healed ? MS(1) : between(MS(1), SECONDS(chance(4) ? 3 : 40)), begin_again);
}

void host_called(struct replica *r)
{
	if (r->doom && --r->doom == 0 && inside[r->number])
		longjmp(deaths[r->number], 1);
}

#define INTO(r, call)                                                                                                  \
	do {                                                                                                           \
		(r)->ops->clock(clock_now());                                                                          \
		inside[(r)->number]++;                                                                                 \
		if (setjmp(deaths[(r)->number]) == 0) {                                                                \
			call;                                                                                          \
			inside[(r)->number]--;                                                                         \
			if ((r)->doom && --(r)->doom == 0)                                                             \
				die(r);                                                                                \
		} else {                                                                                               \
			die(r);                                                                                        \
		}                                                                                                      \
	} while (0)

void replica_request(struct replica *r, handle_t exchange, const struct message *m)
{
	INTO(r, r->ops->request(exchange, m));
}

void replica_gone(struct replica *r, handle_t exchange)
{
	INTO(r, r->ops->gone(exchange));
}

void replica_wire_done(struct replica *r, struct wire_request *rq)
{
	INTO(r, r->ops->done(rq));
}

/* From within another one's turn: it does not die of this. */
void replica_told(struct replica *r, const char *channel, struct slice value)
{
	r->ops->clock(clock_now());
	r->ops->heard(channel, value);
}

static void turn(struct replica *r, enum thread t)
{
	INTO(r, r->ops->turn(t));
}

static void begin(struct replica *r)
{
	r->alive = true;
	r->paused = false;
	r->life++;
	memset(r->ready, 0, sizeof r->ready);
	r->host.now = clock_now();
	r->host.wall = clock_wall_usec() + (r->number == 2 ? SECONDS(2) : 0);
	chart(GATEWAY, GATEWAY, 0, "g%d begins", r->number);
	cloud_lives(r);
	INTO(r, r->ops->begin(&r->host));
}

/* ---- faults that come by themselves ---- */

static void go_on(struct timer *t)
{
	struct replica *r = container_of(t, struct replica, wakes);

	r->paused = false;
	disturb(r);
	chart(GATEWAY, GATEWAY, 0, "g%d goes on", r->number);
}

static void trouble(struct timer *t);

static void begin_again(struct timer *t)
{
	struct replica *r = container_of(t, struct replica, wakes);

	disturb(r);
	begin(r);
	if (!world.healed)
		after(&r->wakes, between(MS(100), SECONDS(20)), trouble);
}

/* It is killed, in so many turns; or it stands still, for a moment or for several leases. */
static void trouble(struct timer *t)
{
	struct replica *r = container_of(t, struct replica, wakes);

	if (world.healed || !r->alive)
		return;
	if (one_in(world.kills)) {
		r->doom = 1 + (int)chance(60);
	} else if (one_in(world.pauses)) {
		usec_t time = chance(3) ? between(MS(10), SECONDS(5)) : between(SECONDS(5), SECONDS(400));

		chart(GATEWAY, GATEWAY, 0, "g%d stands still", r->number);
		disturb(r);
		r->paused = true;
		after(&r->wakes, time, go_on);
		return;
	}
	after(&r->wakes, between(MS(100), SECONDS(20)), trouble);
}

/* ---- one turn ---- */

static usec_t delay_of(enum thread t)
{
	if (world.healed)
		return 0;
	if (t == THREAD_STORE)
		return one_in(world.slow_store) ? between(MS(1), SECONDS(2)) : between(0, MS(2));
	return one_in(world.slow_threads) ? between(1, MS(50)) : 0;
}

struct turns {
	struct replica *r;
	enum thread t;
};

/* A thread notices that it has work, and takes it up at once or a while later. */
static bool is_ready(struct replica *r, enum thread t, usec_t *next)
{
	if (!r->ops->has_work(t)) {
		r->ready[t] = 0;
		return false;
	}
	if (!r->ready[t])
		r->ready[t] = clock_now() + delay_of(t);
	if (r->ready[t] <= clock_now())
		return true;
	*next = r->ready[t] < *next ? r->ready[t] : *next;
	return false;
}

static size_t turns_ready(struct turns *v, usec_t *next)
{
	static const enum thread threads[] = {THREAD_NET, THREAD_SNOWFLAKE, THREAD_WORKER, THREAD_STORE};
	size_t n = 0;

	for (int i = 0; i < world.n; i++) {
		struct replica *r = &world.v[i];
		usec_t timer;

		if (!r->alive || r->paused)
			continue;
		r->ops->clock(clock_now());
		for (size_t t = 0; t < ARRAY_LEN(threads); t++)
			if (is_ready(r, threads[t], next))
				v[n++] = (struct turns){r, threads[t]};
		timer = r->ops->next();
		if (timer > clock_now()) /* else its thread will come to it */
			*next = timer < *next ? timer : *next;
	}
	return n;
}

/* Until this time. */
static void run_until(usec_t until)
{
	struct turns v[REPLICAS_MAX * 4];

	for (size_t rounds = 0; rounds < TURNS_MAX; rounds++) {
		usec_t next = wheel_next(world.wheel);
		size_t n = next <= clock_now() ? 0 : turns_ready(v, &next);

		if (n) {
			struct turns *at = &v[chance(n)];

			at->r->ready[at->t] = 0;
			turn(at->r, at->t);
			continue;
		}
		if (next > until) {
			clock_advance(until - clock_now());
			return;
		}
		if (next > clock_now())
			clock_advance(next - clock_now());
		(void)wheel_run(world.wheel, clock_now());
	}
	violation(0, "it goes round in circles");
}

static void run_for(usec_t time)
{
	run_until(clock_now() + time);
}

struct replica *some_replica(void)
{
	return &world.v[chance((uint64_t)world.n)];
}

/* ---- one world ---- */

static unsigned some_rate(uint64_t none, unsigned least, unsigned most)
{
	return chance(none) ? least + (unsigned)chance(most - least) : 0;
}

static void choose_faults(void)
{
	bool clean = chance(6) == 0;

	world.shared = chance(3) != 0;
	world.n = world.shared ? 1 + (int)chance(REPLICAS_MAX) : 1;
	world.wire_faults = clean ? 0 : some_rate(2, 10, 200);
	world.store_faults = clean ? 0 : some_rate(2, 20, 400);
	world.slow_store = clean ? 0 : some_rate(2, 4, 100);
	world.slow_threads = clean ? 0 : some_rate(2, 4, 200);
	world.kills = clean ? 0 : some_rate(3, 1, 6);
	world.pauses = clean ? 0 : some_rate(3, 1, 6);
}

static void choose_host(struct replica *r)
{
	r->host.ctx = r;
	r->host.transport = &r->transport;
	r->host.wire = &r->wire;
	r->host.commit = cloud_commit;
	r->host.random = give_random;
	r->host.shared = world.shared;
	r->host.log = (enum log_level)(LOG_ERROR + 1);
	r->host.statement_timeout = SECONDS(120);
	r->host.queued = 16;
	r->host.stream_keep = SECONDS(300);
	people_transport(r);
	snow_wire(r);
}

static void world_begin(uint64_t seed)
{
	usec_t stream_after, idle;
	int64_t running, in_flight;

	dice = seed * 0x9E3779B97F4A7C15u + 1;
	for (int i = 0; i < 8; i++)
		(void)chance(2);
	clock_set_virtual(SECONDS(1000), SECONDS(1700000000));
	world.seed = seed;
	world.began = clock_now();
	world.calls = 0;
	world.healed = world.over = false;
	world.wheel = wheel_new();
	choose_faults();
	stream_after = chance(4) ? MS(500) : 0;
	idle = SECONDS(chance(2) ? 3600 : 6);
	running = 1 + (int64_t)chance(5);
	in_flight = running + (int64_t)chance(4);
	cloud_begin();
	snow_begin();
	for (int i = 0; i < world.n; i++) {
		struct replica *r = &world.v[i];

		r->number = i;
		r->life = 0;
		r->doom = 0;
		choose_host(r);
		r->host.stream_after = stream_after;
		r->host.idle_ttl = idle;
		r->host.running = running;
		r->host.in_flight = in_flight;
		begin(r);
		r->disturbed = 0;
		after(&r->wakes, between(MS(100), SECONDS(20)), trouble);
	}
	people_begin();
}

/* From now on nothing goes wrong any more. */
static void heal(void)
{
	world.healed = true;
	for (int i = 0; i < world.n; i++) {
		struct replica *r = &world.v[i];

		r->doom = 0;
		timer_stop(&r->wakes);
		if (r->paused)
			go_on(&r->wakes);
		if (!r->alive)
			begin_again(&r->wakes);
	}
}

static void wait_for_people(usec_t most)
{
	usec_t until = clock_now() + most;

	while (people_wait() && clock_now() < until)
		run_for(SECONDS(1));
}

/* What nobody asks for is taken up by a process that begins. */
static void begin_all_again(void)
{
	for (int i = 0; i < world.n; i++) {
		die(&world.v[i]);
		timer_stop(&world.v[i].wakes);
		begin(&world.v[i]);
	}
}

static void check_quiet(void)
{
	for (int i = 0; i < world.n; i++) {
		const char *left = world.v[i].ops->quiet();

		if (left)
			violation(0, "g%d still holds %s", i, left);
		world.v[i].ops->end();
		memcpy(world.v[i].data, world.v[i].fresh, world.v[i].data_n);
	}
}

static void world_end(void)
{
	char which[STORE_KEY_MAX];

	heal();
	wait_for_people(SECONDS(900));
	run_for(SECONDS(200)); /* every lease is over */
	begin_all_again();
	run_for(SECONDS(60)); /* what is due is looked for after a lease */
	wait_for_people(SECONDS(300));
	people_last();
	wait_for_people(SECONDS(300));
	people_leave();
	run_for(SECONDS(200));
	people_check();
	snow_check();
	if (cloud_under_way(which, sizeof which))
		violation(chart_op(which), "operation %s has not ended", which);
	check_quiet();
	people_end();
	snow_end();
	cloud_end();
	wheel_free(world.wheel);
}

size_t world_run(uint64_t seed)
{
	chart_begin();
	world_begin(seed);
	while (!world.over)
		run_for(SECONDS(1));
	world_end();
	return world.calls;
}
