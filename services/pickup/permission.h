/*
 * permission: may the user who submits a message do so, and with this sender? (authorized_submit_users,
 * local_login_sender_maps), asked of lookup.
 */
#ifndef POSTERN_PICKUP_PERMISSION_H
#define POSTERN_PICKUP_PERMISSION_H

#include "common/base/span.h"
#include "services/pickup/pickup.h"

struct permission;

/* status: of sysexits(3), EX_OK, EX_NOPERM or EX_TEMPFAIL; text says why it is not EX_OK. The permission is gone then. */
typedef void permission_told(void *context, int status, struct span text);

enum permission_start { PERMISSION_UNDER_WAY, PERMISSION_NOT_NEEDED, PERMISSION_IMPOSSIBLE };

/* Sets *permission while it is under way: told is called once, in a later turn. IMPOSSIBLE: lookup is not there. */
enum permission_start permission_ask(struct permission **permission, struct pickup *p, unsigned uid,
    struct span sender, permission_told *told, void *context);

/* told is not called. Clears the caller's pointer, which may be NULL. */
void permission_abort(struct permission **permission);

#endif
