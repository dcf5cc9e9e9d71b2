/*
 * ldap_meter: how much a directory may answer. libldap keeps all of an answer until the last of it is there, and has no
 * limit of its own. So a layer of ours is put on each socket that it opens, those to servers of referrals included.
 */
#include "config.h"

#ifdef HAVE_LDAP

#include <errno.h>

#include "common/map/ldap.h"

/* A message costs the library some hundred octets beside its own, and two reads. */
enum { READ_COST = 256 };

static int
on_setup(Sockbuf_IO_Desc *layer, void *connection)
{
	layer->sbiod_pvt = connection;
	return 0;
}

static int
on_control(Sockbuf_IO_Desc *layer, int option, void *value)
{
	return LBER_SBIOD_CTRL_NEXT(layer, option, value);
}

static ber_slen_t
on_read(Sockbuf_IO_Desc *layer, void *bytes, ber_len_t len)
{
	struct ldap_connection *c = layer->sbiod_pvt;
	ber_slen_t n;

	if (c->taken > CLIENT_ANSWER_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	n = LBER_SBIOD_READ_NEXT(layer, bytes, len);
	if (n > 0)
		c->taken += (size_t)n + READ_COST;
	return n;
}

static ber_slen_t
on_write(Sockbuf_IO_Desc *layer, void *bytes, ber_len_t len)
{
	return LBER_SBIOD_WRITE_NEXT(layer, bytes, len);
}

static Sockbuf_IO meter = {
    .sbi_setup = on_setup,
    .sbi_ctrl = on_control,
    .sbi_read = on_read,
    .sbi_write = on_write,
};

static int
on_connection(LDAP *ld, Sockbuf *socket, LDAPURLDesc *server, struct sockaddr *address, ldap_conncb *callback)
{
	ber_len_t most = CLIENT_ANSWER_MAX;

	(void)ld;
	(void)server;
	(void)address;
	/* What a message says of its length is believed, and that much is allocated. */
	(void)ldap_lib.ber_sockbuf_ctrl(socket, LBER_SB_OPT_SET_MAX_INCOMING, &most);
	/* Above TLS, which has bounds of its own. */
	return ldap_lib.ber_sockbuf_add_io(socket, &meter, LBER_SBIOD_LEVEL_APPLICATION, callback->lc_arg);
}

static void
on_connection_end(LDAP *ld, Sockbuf *socket, ldap_conncb *callback)
{
	(void)ld;
	(void)socket;
	(void)callback;
}

void
ldap_meter(struct ldap_connection *c)
{
	c->callback.lc_add = on_connection;
	c->callback.lc_del = on_connection_end;
	c->callback.lc_arg = c;
	(void)ldap_lib.ldap_set_option(c->ld, LDAP_OPT_CONNECT_CB, &c->callback);
}

#endif
