#include "services/resolver/host_names.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/server/sandbox.h"
#include "services/master/names.h"

static bool
is_known(const struct name_answer *a, const struct name_address *one)
{
	for (int i = 0; i < a->count; i++)
		if (a->list[i].family == one->family && memcmp(a->list[i].octets, one->octets, 16) == 0)
			return true;
	return false;
}

static void
take(struct name_answer *a, const struct addrinfo *found)
{
	struct name_address one = {.family = found->ai_family};

	if (found->ai_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, found->ai_addr, sizeof(in));
		memcpy(one.octets, &in.sin_addr, 4);
	} else {
		struct sockaddr_in6 in6;
		memcpy(&in6, found->ai_addr, sizeof(in6));
		memcpy(one.octets, &in6.sin6_addr, 16);
	}
	if (a->count < NAME_ADDRESSES_MAX && !is_known(a, &one))
		a->list[a->count++] = one;
}

static int
drop_rights(struct error *err)
{
	uid_t uid;
	gid_t gid;

	if (geteuid() == 0 &&
	    (sandbox_find_user("dns", &uid, &gid, err) < 0 || sandbox_become(uid, gid, err) < 0))
		return -1;
	return sandbox_no_new_privs(err);
}

int
host_names_main(const char *host, const char *families)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *all = NULL;
	struct name_answer a = {0};
	struct error err;

	if (strlen(families) == 1)
		hints.ai_family = families[0] == '6' ? AF_INET6 : AF_INET;
	if (drop_rights(&err) < 0) {
		snprintf(a.trouble, sizeof(a.trouble), "%.99s", err.text);
	} else {
		int status = getaddrinfo(host, NULL, &hints, &all);
		if (status != 0)
			snprintf(a.trouble, sizeof(a.trouble), "%s", gai_strerror(status));
	}
	for (const struct addrinfo *i = all; i != NULL; i = i->ai_next)
		if (i->ai_family == AF_INET || i->ai_family == AF_INET6)
			take(&a, i);
	if (all != NULL)
		freeaddrinfo(all);
	return io_write_all(NAMES_FD, &a, sizeof(a)) < 0;
}
