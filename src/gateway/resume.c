/* A stream or a task that is not in memory, read from the store. */
#include "piece.h"

#include <string.h>

void found_release(struct found *f)
{
	buf_free(&f->record);
	while (f->events) {
		struct store_row *row = f->events;

		f->events = row->next;
		free(row);
	}
}

static void found_free(void *object)
{
	found_release(object);
}

static struct found *found_add(struct call *c)
{
	struct found *f = arena_alloc(c->arena, sizeof *f);

	if (!f || !arena_attach(c->arena, f, found_free))
		return NULL;
	*f = (struct found){.next = c->found};
	memcpy(f->task, c->op.task, sizeof f->task);
	c->found = f;
	return f;
}

void found_fill(struct found *f, struct piece *p)
{
	f->version = p->items[0].version;
	f->due_ms = p->items[0].due_ms;
	memcpy(f->id, p->keys[0], sizeof f->id - 1);
	f->record = p->items[0].out;
	p->items[0].out = (struct buf){0};
	f->events = TAKE(p->items[1].rows);
}

static void found_take(struct call *c, struct piece *p)
{
	struct found *f = found_add(c);

	if (f)
		found_fill(f, p);
}

void piece_add_operation(struct piece *p, const char *id)
{
	piece_add(p, STORE_GET, RECORD_OPERATION, id)->out = buf_with_ceiling(STORE_VALUE_MAX);
	piece_add(p, STORE_EVENTS, RECORD_OPERATION, id)->most = STORE_ROWS_MAX;
}

static void resume_done(struct store_work *w)
{
	struct piece *p = container_of(w, struct piece, work);
	struct store_item *item = &p->items[0];
	char id[OPERATION_ID_SIZE];

	if (w->rc != STORE_OK) {
		p->call->fault = (struct mcp_fault){ERR_OVERLOADED, "the store cannot be read now; try again", NULL};
		p->next = STEP_reply;
	} else if (item->rc == STORE_OK && item->kind != RECORD_OPERATION && piece_key(item, sizeof id, id)) {
		piece_clear(p);
		piece_add_operation(p, id);
		store_post(w);
		return;
	} else if (item->rc == STORE_OK && item->kind == RECORD_OPERATION) {
		found_take(p->call, p);
	} else if (*p->call->op.task) {
		(void)found_add(p->call);
	}
	piece_call_on(p);
}

enum verdict step_resume(struct call *c)
{
	struct piece *p = piece_new(c, resume_done);
	enum record_kind kind = c->request->method == HTTP_GET || *c->op.stream ? RECORD_STREAM : RECORD_TASK;
	char key[STORE_KEY_MAX] = "none", stream[STREAM_ID_SIZE];
	uint64_t number;

	c->sought = true;
	if (kind == RECORD_TASK)
		key_of_task(key, c->op.task, p->group);
	else if (*c->op.stream)
		memcpy(key, c->op.stream, sizeof c->op.stream);
	else if (stream_event_id_read(slice_of(c->request->mcp.last_event_id), stream, &number))
		memcpy(key, stream, sizeof stream);
	piece_add(p, STORE_GET, kind, key)->out = buf_with_ceiling(STORE_KEY_MAX);
	return piece_post(p, c, STEP_resumed);
}
