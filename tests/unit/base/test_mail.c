/* Mailboxes, simulated on one thread and between real ones; run under the thread sanitizer too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "snowgate/mail.h"

struct note {
	struct mail mail;
	int number;
	enum thread from;
};

static int received[64];
static size_t received_n;

static void receive(struct mail *m)
{
	struct note *note = container_of(m, struct note, mail);
	received[received_n++] = note->number;
	free(note);
}

static void post(enum thread to, int number, void (*deliver)(struct mail *))
{
	struct note *note = xalloc(sizeof(*note));
	note->number = number;
	note->from = thread_self();
	note->mail.deliver = deliver;
	mail_post(to, &note->mail);
}

static void one_real_thread_plays_them_all(void **state UNUSED)
{
	received_n = 0;
	assert_int_equal(thread_self(), THREAD_MAIN);
	for (enum thread t = 0; t < THREADS_N; t++) {
		uint64_t before = mail_posted(t);
		assert_true(mail_empty(t));
		post(t, 1, receive);
		post(t, 2, receive);
		assert_false(mail_empty(t));
		assert_int_equal(mail_posted(t), before + 2);
	}
	for (enum thread t = 0; t < THREADS_N; t++) {
		thread_play(t);
		OWNED_BY(t);
		received_n = 0;
		assert_int_equal(mail_deliver(t), 2);
		assert_int_equal(received[0], 1);
		assert_int_equal(received[1], 2);
		assert_int_equal(mail_deliver(t), 0);
	}
	thread_play(THREAD_MAIN);
}

static void receive_and_post_again(struct mail *m)
{
	int number = container_of(m, struct note, mail)->number;
	receive(m);
	post(thread_self(), number + 1, receive);
}

static void what_is_posted_meanwhile_comes_next_time(void **state UNUSED)
{
	received_n = 0;
	thread_play(THREAD_STORE);
	post(THREAD_STORE, 1, receive_and_post_again);
	post(THREAD_STORE, 10, receive);
	assert_int_equal(mail_deliver(THREAD_STORE), 2);
	assert_int_equal(received_n, 2);
	assert_int_equal(mail_deliver(THREAD_STORE), 1);
	assert_int_equal(received[2], 2);
	thread_play(THREAD_MAIN);
}

static void a_worker_gets_one_at_a_time(void **state UNUSED)
{
	received_n = 0;
	for (int i = 0; i < 3; i++)
		post(THREAD_WORKER, i, receive);
	for (size_t i = 1; i <= 3; i++) {
		assert_int_equal(mail_wait(THREAD_WORKER, -1), 1);
		assert_int_equal(received_n, i);
	}
	assert_int_equal(mail_wait(THREAD_WORKER, 0), 0);
	post(THREAD_NET, 7, receive);
	post(THREAD_NET, 8, receive);
	assert_int_equal(mail_wait(THREAD_NET, -1), 2);
}

static void count_wake(void *ctx)
{
	++*(int *)ctx;
}

static void wakes_only_an_empty_box(void **state UNUSED)
{
	int wakes = 0;
	received_n = 0;
	mail_on_post(THREAD_NET, count_wake, &wakes);
	post(THREAD_NET, 1, receive);
	post(THREAD_NET, 2, receive);
	assert_int_equal(wakes, 1);
	assert_int_equal(mail_deliver(THREAD_NET), 2);
	post(THREAD_NET, 3, receive);
	assert_int_equal(wakes, 2);
	mail_on_post(THREAD_NET, NULL, NULL);
	assert_int_equal(mail_deliver(THREAD_NET), 1);
}

static void a_wait_ends_with_time_or_bell(void **state UNUSED)
{
	assert_int_equal(mail_wait(THREAD_STORE, 1000), 0);
	mail_ring(THREAD_STORE);
	assert_int_equal(mail_wait(THREAD_STORE, -1), 0); /* rung before: does not sleep */
	assert_int_equal(mail_wait(THREAD_STORE, 0), 0);
}

/* Three threads post to a fourth; each one's messages arrive in its order, and none is lost. */

enum { PER_THREAD = 20000 };
static int last_from[THREADS_N];
static size_t arrived;

static void check_order(struct mail *m)
{
	struct note *note = container_of(m, struct note, mail);
	assert(thread_self() == THREAD_STORE);
	assert(note->number == last_from[note->from] + 1);
	last_from[note->from] = note->number;
	arrived++;
	free(note);
}

static void run_poster(void *arg UNUSED)
{
	for (int i = 1; i <= PER_THREAD; i++)
		post(THREAD_STORE, i, check_order);
}

static void run_receiver(void *arg UNUSED)
{
	OWNED_BY(THREAD_STORE);
	while (arrived < 3 * PER_THREAD)
		(void)mail_wait(THREAD_STORE, -1);
}

static void real_threads_lose_nothing(void **state UNUSED)
{
	pthread_t receiver, posters[3];
	memset(last_from, 0, sizeof(last_from));
	arrived = 0;
	thread_start(THREAD_STORE, run_receiver, NULL, &receiver);
	thread_start(THREAD_NET, run_poster, NULL, &posters[0]);
	thread_start(THREAD_SNOWFLAKE, run_poster, NULL, &posters[1]);
	thread_start(THREAD_LOG, run_poster, NULL, &posters[2]);
	for (int i = 0; i < 3; i++)
		thread_join(posters[i]);
	thread_join(receiver);
	assert_int_equal(arrived, 3 * PER_THREAD);
	assert_true(mail_empty(THREAD_STORE));
}

/* Two workers share a box, and answer to a thread that sleeps on an eventfd. */

static _Thread_local bool stopped;
static size_t answers, sum;

static void take_answer(struct mail *m)
{
	struct note *note = container_of(m, struct note, mail);
	assert(thread_self() == THREAD_NET);
	answers++;
	sum += (size_t)note->number;
	free(note);
}

static void work(struct mail *m)
{
	struct note *note = container_of(m, struct note, mail);
	m->deliver = take_answer;
	note->number *= 2;
	mail_post(THREAD_NET, m);
}

static void stop_worker(struct mail *m)
{
	free(container_of(m, struct note, mail));
	stopped = true;
}

static void run_worker(void *arg UNUSED)
{
	while (!stopped)
		(void)mail_wait(THREAD_WORKER, -1);
}

static void wake_by_eventfd(void *ctx)
{
	uint64_t one = 1;
	ssize_t n UNUSED = write(*(int *)ctx, &one, sizeof(one));
}

static void run_asker(void *arg)
{
	for (int i = 1; i <= PER_THREAD; i++)
		post(THREAD_WORKER, i, work);
	while (answers < PER_THREAD) {
		uint64_t count;
		ssize_t n UNUSED = read(*(int *)arg, &count, sizeof(count));
		(void)mail_deliver(THREAD_NET);
	}
}

static void two_workers_share_a_box(void **state UNUSED)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	pthread_t workers[2], asker;
	mail_on_post(THREAD_NET, wake_by_eventfd, &fd);
	for (int i = 0; i < 2; i++)
		thread_start(THREAD_WORKER, run_worker, NULL, &workers[i]);
	thread_start(THREAD_NET, run_asker, &fd, &asker);
	thread_join(asker);
	for (int i = 0; i < 2; i++)
		post(THREAD_WORKER, 0, stop_worker);
	for (int i = 0; i < 2; i++)
		thread_join(workers[i]);
	mail_on_post(THREAD_NET, NULL, NULL);
	(void)close(fd);
	assert_int_equal(answers, PER_THREAD);
	assert_int_equal(sum, (size_t)PER_THREAD * (PER_THREAD + 1));
}

static void threads_have_names(void **state UNUSED)
{
	assert_string_equal(thread_name(THREAD_NET), "net");
	for (enum thread t = 0; t < THREADS_N; t++)
		assert_true(strlen(thread_name(t)) < 16); /* what the kernel keeps */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_real_thread_plays_them_all),
	    cmocka_unit_test(what_is_posted_meanwhile_comes_next_time),
	    cmocka_unit_test(a_worker_gets_one_at_a_time),
	    cmocka_unit_test(wakes_only_an_empty_box),
	    cmocka_unit_test(a_wait_ends_with_time_or_bell),
	    cmocka_unit_test(real_threads_lose_nothing),
	    cmocka_unit_test(two_workers_share_a_box),
	    cmocka_unit_test(threads_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
