"""Bugs that the simulated worlds must find: exact replacements of text in the gateway's sources. Each text must be there
exactly once; where the source has moved on, the bug has to be planted anew."""

# name: what it breaks, file, text, what stands in its place
BUGS = {
    "lease_not_checked": (
        "who holds an operation no more writes its record all the same",
        "src/gateway/operation.c",
        "\titem->version = c->op.version++;\n",
        "\tp->work.n--;\n\tc->op.version++;\n"),
    "event_before_commit": (
        "an event is shown when it is posted to the store",
        "src/gateway/stream.c",
        "\tif (s->holds && *t->operation)\n\t\tevents_post(s, t->session, t->operation);\n\tif (last)",
        "\tif (s->holds && *t->operation)\n\t\tevents_post(s, t->session, t->operation);\n"
        "\tstream_commit(s, s->newest->number);\n\tif (last)"),
    "context_from_cache": (
        "a replica that has a session in memory does not ask the store whether it has changed",
        "src/gateway/bind.c",
        "\ts = session_by_id(gateway.sessions, id, p);\n"
        "\tif (s && !c->loaded && !store_shared() && !s->doubtful)",
        "\ts = session_by_id(gateway.sessions, id, p);\n\tif (s && !c->loaded && !s->doubtful)"),
    "cancel_lost": (
        "a cancel that comes before its call is forgotten",
        "src/snowflake/cancel.c",
        "\tif (!j) {\n\t\tremember(ticket);\n\t\treturn;\n\t}\n",
        "\tif (!j)\n\t\treturn;\n"),
    "slot_released_early": (
        "the slot is given back when a call is answered as running",
        "src/gateway/reply.c",
        "\tif (t)\n\t\tticket_answer(t, &e->answer);\n",
        "\tif (t) {\n\t\tslot_release(t);\n\t\tticket_answer(t, &e->answer);\n\t}\n"),
    # defects that were found by the worlds, put back
    "answer_without_record": (
        "an answer is shown by an event id though its record was refused and forgotten",
        "src/gateway/stream.c",
        "\t} else if (!c->op.version) {",
        "\t} else if (false) {"),
    "orphan_stays": (
        "the record of a call whose session was deleted meanwhile stays under way",
        "src/gateway/adopt.c",
        "\treturn c->fault.err == ERR_SESSION && !c->op.over ? STEP_settle : STEP_reply;\n",
        "\treturn STEP_reply;\n"),
    "change_undone": (
        "a change of context that begins again is applied to what the context was",
        "src/gateway/journal.c",
        "\tc->context_version = (uint64_t)json_int_of(sealed, \"contextVersion\", 0);",
        "\tif (false)\n\t\tc->context_version = (uint64_t)json_int_of(sealed, \"contextVersion\", 0);"),
    "session_overwritten": (
        "the record of a session is written over what another replica has written",
        "src/gateway/durable.c",
        "\tif (store_shared()) /* another",
        "\tif (false) /* another"),
}
