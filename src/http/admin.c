/* The admin port: liveness, readiness and metrics, on a daemon of its own that is reachable when the public one is
 * full. */
#include <string.h>

#include "server.h"
#include "snowgate/mail.h"
#include "snowgate/metric.h"

#define METRICS_MAX ((size_t)4 << 20)

static int say(struct buf *b, int status, const char *text)
{
	buf_adds(b, text);
	return status;
}

/* NET answers this itself: that it does is the proof of life. */
static int page_livez(struct http *h, struct buf *b)
{
	(void)h;
	return say(b, 200, "ok\n");
}

static int page_readyz(struct http *h, struct buf *b)
{
	bool ready = !h->off && h->ops.ready(h->ops.ctx);

	h->was_ready = h->was_ready || ready;
	return ready ? say(b, 200, "ok\n") : say(b, 503, "not ready\n");
}

static int page_startupz(struct http *h, struct buf *b)
{
	h->was_ready = h->was_ready || (!h->off && h->ops.ready(h->ops.ctx));
	return h->was_ready ? say(b, 200, "ok\n") : say(b, 503, "starting\n");
}

static int page_metrics(struct http *h, struct buf *b)
{
	(void)h;
	return metric_write(b) ? 200 : 500;
}

static const struct page {
	const char *path;
	const char *content_type;
	int (*write)(struct http *h, struct buf *b);
} pages[] = {
    {"/livez", "text/plain; charset=utf-8", page_livez},
    {"/readyz", "text/plain; charset=utf-8", page_readyz},
    {"/startupz", "text/plain; charset=utf-8", page_startupz},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", page_metrics},
};

static void write_page(struct http *h, const char *target, const char *method, struct answer *a)
{
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		if (strcmp(target, pages[i].path) != 0)
			continue;
		if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
			answer_header(a, "Allow", "GET, HEAD");
			a->status = say(&a->body, 405, "GET or HEAD\n");
			return;
		}
		a->content_type = pages[i].content_type;
		a->status = pages[i].write(h, &a->body);
		return;
	}
	a->status = say(&a->body, 404, "there is /livez, /readyz, /startupz and /metrics\n");
}

/* Every answer closes, and no request has a body: nothing can be smuggled behind one. */
enum MHD_Result admin_request(void *door, struct MHD_Connection *c, const char *target, const char *method,
			      const char *version, const char *data, size_t *n, void **context)
{
	struct peer *p = peer_of(c);
	struct answer a;

	OWNED_BY(THREAD_NET);
	(void)door, (void)version, (void)data;
	if (!*context) {
		*context = p;
		peer_phase(p, PHASE_BODY);
		return MHD_YES;
	}
	if (*n)
		return MHD_NO;
	answer_init(&a, 200, "text/plain; charset=utf-8");
	a.body.ceiling = METRICS_MAX;
	write_page(p->door->http, target, method, &a);
	p->close = true;
	peer_answer(p, &a);
	return peer_respond(p);
}
