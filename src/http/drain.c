/* The end, in order: no new connections, then what is left is woken and let go, then the daemons. */
#include <string.h>
#include <unistd.h>

#include "server.h"
#include "snowgate/handle.h"
#include "snowgate/mail.h"

/* MHD keeps the connections it has; the socket comes back to us, and closing it makes new clients fail fast, unless it
 * lives on elsewhere. */
void http_listen_off(struct transport *t)
{
	struct http *h = http_of(t);

	OWNED_BY(THREAD_NET);
	if (h->off)
		return;
	h->off = true;
	(void)MHD_quiesce_daemon(h->open_door.daemon);
	door_close(&h->open_door);
	if (h->admin_door.daemon && h->admin_door.lent) { /* probes wait for who comes next, too */
		(void)MHD_quiesce_daemon(h->admin_door.daemon);
		door_close(&h->admin_door);
	}
	handover_close(h);
}

bool http_lives_on(const struct transport *t)
{
	return http_of(t)->open_door.lent;
}

static void let_peer_go(struct http *h, struct peer *p)
{
	CHECK(p, PEER_MAGIC);
	p->gone = true;
	if (p->handle)
		handle_drop(h->exchanges, p->handle);
	p->handle = 0;
	peer_resume(p);
}

/* A stream's reader sees h->stopping. */
static void let_go(struct http *h)
{
	h->stopping = true;
	for (size_t i = 0; i < QUEUES_N; i++) {
		for (struct ring *r = h->queues[i].next; r != &h->queues[i]; r = r->next)
			let_peer_go(h, container_of(r, struct peer, queue));
	}
	peers_resume(h, SIZE_MAX);
}

static void daemon_end(struct door *d)
{
	if (!d->daemon)
		return;
	(void)MHD_quiesce_daemon(d->daemon);
	MHD_stop_daemon(d->daemon);
	d->daemon = NULL;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void http_end(struct http *h)
{
	daemon_end(&h->open_door);
	daemon_end(&h->admin_door);
	door_close(&h->open_door);
	door_close(&h->admin_door);
	handover_close(h);
	timer_stop(&h->sweep);
	mail_on_post(THREAD_NET, NULL, NULL);
	close_fd(h->epoll_fd);
	close_fd(h->mail_fd);
	handle_table_free(h->exchanges);
	buf_free(&h->scratch);
	free(h);
}

/* M14: MHD aborts where it is stopped over a suspended connection, so all are woken and run through their handler. */
void http_stop(struct transport *t)
{
	struct http *h = http_of(t);

	OWNED_BY(THREAD_NET);
	http_listen_off(t);
	let_go(h);
	(void)MHD_run(h->open_door.daemon);
	http_end(h);
}
