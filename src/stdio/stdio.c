/* The transport over standard input and output: its start, the loop of NET, and its end. */
#include "snowgate/stdio.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "snowgate/log.h"
#include "snowgate/mail.h"
#include "snowgate/metric.h"
#include "stdio_internal.h"

#define IDLE_MS     1000
#define SLOW_TURN   (20 * USEC_PER_MS)
#define PART_TIME   (2 * USEC_PER_S) /* for the session to be deleted and the last answers to be taken */
#define CANCEL_TIME (1 * USEC_PER_S) /* for cancels to reach Snowflake */

struct stdio *stdio_of(struct transport *t)
{
	struct stdio *s = container_of(t, struct stdio, transport);

	OWNED_BY(THREAD_NET);
	CHECK(s, STDIO_MAGIC);
	return s;
}

/* ---- the end of the client ---- */

static void timer_fired(struct timer *timer)
{
	container_of(timer, struct stdio, timer)->late = true;
}

static void wait_for(struct stdio *s, usec_t time)
{
	s->late = false;
	timer_set(s->wheel, &s->timer, clock_now() + time);
}

/* No more requests: what has no end of its own ends now, the rest may still be answered. */
static void input_ended(struct stdio *s)
{
	s->stage = STAGE_EOF;
	visit_end_listeners(s);
	wait_for(s, s->conf->listen_drain);
}

static void part(struct stdio *s)
{
	s->stage = STAGE_PARTING;
	visit_end_listeners(s);
	visit_depart_clients(s);
	visit_goodbye(s);
	wait_for(s, s->left_behind ? CANCEL_TIME : PART_TIME);
}

static bool input_over(const struct stdio *s)
{
	return s->eof && !input_left(s) && !s->line.n && !s->too_long;
}

/* While the gateway drains it is the gateway that ends the loop. */
static void end_look(struct stdio *s)
{
	bool told = s->out.broken || !s->out.bytes;

	if (s->off)
		return;
	if (s->stage == STAGE_OPEN && input_over(s))
		input_ended(s);
	if (s->stage != STAGE_PARTING &&
	    (s->out.broken || (s->stage == STAGE_EOF && (s->late || (!s->clients_n && told)))))
		part(s);
	if (s->stage == STAGE_PARTING && (s->late || (!s->left_behind && !s->goodbye && told)))
		s->ending = true;
}

/* ---- the loop ---- */

static void note_turn(usec_t took, size_t mails)
{
	if (took <= SLOW_TURN)
		return;
	metric_count(METRIC_slow_turns, NULL);
	log_event(LOG_WARN, "slow_turn", log_text("thread", "net"), log_number("usec", took),
		  log_number("mails", mails));
}

static bool may_read(const struct stdio *s)
{
	return !s->eof && !input_left(s) && input_wanted(s);
}

/* A hang-up is reported whether asked for or not, so a descriptor that is of no interest now is left out. */
static int wait_for_events(struct stdio *s, struct pollfd fds[3])
{
	bool busy = input_left(s) && input_wanted(s);

	fds[0] = (struct pollfd){.fd = may_read(s) ? s->in : -1, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = s->out.broken ? -1 : s->out.fd, .events = s->out.bytes ? POLLOUT : 0};
	fds[2] = (struct pollfd){.fd = s->mail_fd, .events = POLLIN};
	return poll(fds, 3, busy ? 0 : wheel_wait(s->wheel, clock_now(), IDLE_MS));
}

static void turn(struct stdio *s)
{
	struct pollfd fds[3];
	uint64_t posts;
	int n = wait_for_events(s, fds);
	usec_t start = clock_now();
	size_t mails;

	if (n > 0 && fds[2].revents)
		(void)!read(s->mail_fd, &posts, sizeof(posts));
	mails = mail_deliver(THREAD_NET);
	if (s->ending) {
		output_flush(&s->out);
		return;
	}
	wheel_run(s->wheel, clock_now());
	if (n > 0 && fds[0].revents)
		input_read(s);
	if (n > 0 && (fds[1].revents & (POLLERR | POLLHUP | POLLNVAL)))
		output_break(&s->out);
	input_take(s);
	output_flush(&s->out);
	visit_room(s);
	output_flush(&s->out);
	end_look(s);
	note_turn(clock_now() - start, mails);
}

static void loop(struct transport *t)
{
	struct stdio *s = stdio_of(t);

	s->ending = false;
	while (!s->ending)
		turn(s);
}

static void loop_end(struct transport *t)
{
	stdio_of(t)->ending = true;
}

/* ---- the rest of struct transport ---- */

static size_t open_count(const struct transport *t)
{
	const struct stdio *s = container_of(t, const struct stdio, transport);

	return s->visits_n + (s->out.bytes > 0);
}

static size_t streams_max(const struct transport *t)
{
	(void)t;
	return VISITS_MAX / 4 * 3;
}

static void configure(struct transport *t, const struct conf *conf)
{
	stdio_of(t)->conf = conf;
}

static bool uses(const struct transport *t, const struct conf *conf)
{
	return container_of(t, const struct stdio, transport)->conf == conf;
}

/* A client that has closed its end and now sends a signal as well does not wait for answers. */
static void listen_off(struct transport *t)
{
	struct stdio *s = stdio_of(t);

	if (s->stage == STAGE_EOF)
		part(s);
	s->off = true;
}

static void stdio_free(struct stdio *s)
{
	mail_on_post(THREAD_NET, NULL, NULL);
	timer_stop(&s->timer);
	visit_free_all(s);
	handle_table_free(s->visits);
	output_close(&s->out);
	buf_free(&s->line);
	if (s->mail_fd >= 0)
		close(s->mail_fd);
	s->magic = 0;
	free(s);
}

static void stop(struct transport *t)
{
	struct stdio *s = stdio_of(t);

	s->off = true;
	output_flush(&s->out);
	stdio_free(s);
}

/* ---- the start ---- */

static void wake(void *ctx)
{
	const struct stdio *s = ctx;
	uint64_t one = 1;

	(void)!write(s->mail_fd, &one, sizeof(one));
}

static const struct transport calls = {
    .answer = visit_answer,
    .stream_open = visit_stream_open,
    .stream_send = visit_stream_send,
    .stream_end = visit_stream_end,
    .open = open_count,
    .streams_max = streams_max,
    .loop = loop,
    .loop_end = loop_end,
    .configure = configure,
    .uses = uses,
    .listen_off = listen_off,
    .stop = stop,
};

struct transport *stdio_start(const struct conf *conf, const struct transport_ops *ops, struct wheel *wheel, int in,
			      int out, char *why, size_t why_size)
{
	struct stdio *s = xalloc(sizeof(*s));

	*s = (struct stdio){
	    .magic = STDIO_MAGIC, .transport = calls, .ops = *ops, .conf = conf, .wheel = wheel, .in = in};
	s->timer.fire = timer_fired;
	s->visits = handle_table_new(VISITS_MAX + VISITS_SPARE);
	s->mail_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	output_open(&s->out, out);
	(void)signal(SIGPIPE, SIG_IGN);
	if (s->mail_fd < 0) {
		(void)snprintf(why, why_size, "no descriptor for the mailbox: %s", strerror(errno));
		stdio_free(s);
		return NULL;
	}
	mail_on_post(THREAD_NET, wake, s);
	log_event(LOG_INFO, "listening", log_text("transport", "stdio"));
	return &s->transport;
}
