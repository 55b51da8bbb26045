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

static void stall_fired(struct timer *timer)
{
	container_of(timer, struct stdio, stall)->stalled = true;
}

/* Who has left, or was told to leave, has mcp.write_timeout to take something of what waits for it, again and again as
 * long as it does. While it may still say something its silence means nothing. */
static void stall_look(struct stdio *s)
{
	bool moved = s->out.moved, stalled = s->stalled;

	s->out.moved = s->stalled = false;
	if (!s->out.lines.n || !(input_closed(s) || s->off))
		timer_stop(&s->stall);
	else if (stalled && !moved)
		output_break(&s->out);
	else if (moved || !timer_pending(&s->stall))
		timer_set(s->wheel, &s->stall, clock_now() + s->conf->mcp_write_timeout);
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
	bool told = s->out.broken || !s->out.lines.n;

	if (s->off)
		return;
	if (s->stage == STAGE_OPEN && input_over(s))
		input_ended(s);
	if (s->stage != STAGE_PARTING &&
	    (s->out.broken || (s->stage == STAGE_EOF && (s->late || (!s->clients_n && told)))))
		part(s);
	if (s->stage == STAGE_PARTING && told && (s->late || (!s->left_behind && !s->goodbye)))
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

/* Where no more input is wanted it is looked at for its end alone, until that has come: a hang-up is reported each
 * time, whether asked for or not. POLLRDHUP: a socket's, of which the client may have closed one direction. */
static struct pollfd input_events(const struct stdio *s)
{
	bool read = may_read(s), watch = !input_closed(s) && s->stage != STAGE_PARTING;

	return (struct pollfd){.fd = read || watch ? s->in : -1, .events = read ? POLLIN : POLLRDHUP};
}

static int wait_for_events(struct stdio *s, struct pollfd fds[3])
{
	bool busy = input_left(s) && input_wanted(s);

	fds[0] = input_events(s);
	fds[1] = (struct pollfd){.fd = s->out.broken ? -1 : s->out.fd, .events = s->out.lines.n ? POLLOUT : 0};
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
	if (n > 0 && fds[0].revents && fds[0].events == POLLIN)
		input_read(s);
	else if (n > 0 && fds[0].revents)
		s->hung_up = true;
	if (n > 0 && (fds[1].revents & (POLLERR | POLLHUP | POLLNVAL)))
		output_break(&s->out);
	input_take(s);
	output_flush(&s->out);
	visit_room(s);
	output_flush(&s->out);
	stall_look(s);
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

	return s->visits_n + (s->out.lines.n > 0);
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

	if (s->stage != STAGE_PARTING && input_closed(s))
		part(s);
	s->off = true;
}

static void stdio_free(struct stdio *s)
{
	mail_on_post(THREAD_NET, NULL, NULL);
	timer_stop(&s->timer);
	timer_stop(&s->stall);
	timer_stop(&s->again);
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
	s->stall.fire = stall_fired;
	s->again.fire = visit_again;
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
