#include "services/pickup/permission.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/mem.h"

enum { TIMEOUT_MS = 60000 };

struct permission {
	struct pickup *p;
	uint32_t call;
	permission_told *told;
	void *context;
};

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct permission *permission = context;
	permission_told *told = permission->told;

	(void)err;
	context = permission->context;
	free(permission);
	if (frame == NULL)
		told(context, EX_TEMPFAIL, SPAN_LIT("4.3.0 no answer from lookup"));
	else if (frame->permit_done.status == LOOKUP_FOUND)
		told(context, EX_OK, SPAN_LIT(""));
	else
		told(context, frame->permit_done.status == LOOKUP_NOT_FOUND ? EX_NOPERM : EX_TEMPFAIL,
		    frame->permit_done.reason);
	return 0;
}

/* Most hosts let everybody: they are spared the question. */
static bool
all_may(const struct conf_values *v)
{
	return strcmp(v->authorized_submit_users, "static:anyone") == 0 &&
	       strcmp(v->local_login_sender_maps, "static:*") == 0;
}

enum permission_start
permission_ask(struct permission **permission, struct pickup *p, unsigned uid, struct span sender,
    permission_told *told, void *context)
{
	const struct msg_permit_ask ask = {.uid = uid, .sender = sender};
	struct ipc_channel *lookup = server_peer(p->server, ROLE_LOOKUP, 0);
	struct permission *new;

	if (all_may(pickup_values(p)))
		return PERMISSION_NOT_NEEDED;
	new = mem_alloc(sizeof(*new));
	*new = (struct permission){.p = p, .told = told, .context = context};
	if (lookup)
		new->call = ipc_ask(lookup, IPC_PERMIT_ASK, &ask, TIMEOUT_MS, on_answer, new);
	if (new->call == 0) {
		free(new);
		return PERMISSION_IMPOSSIBLE;
	}
	*permission = new;
	return PERMISSION_UNDER_WAY;
}

void
permission_abort(struct permission **permission)
{
	struct permission *gone = *permission;

	*permission = NULL;
	if (gone == NULL)
		return;
	ipc_cancel(server_peer(gone->p->server, ROLE_LOOKUP, 0), gone->call);
	free(gone);
}
