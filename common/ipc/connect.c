#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/ipc/ipc.h"

int
ipc_connect(const char *path, struct error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(address);
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(err, "socket path %s is too long", path);
	memcpy(address.sun_path, path, strlen(path));
	if (path[0] == '@') {
		address.sun_path[0] = '\0';
		len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(err, "socket");
	if (connect(fd, (struct sockaddr *)&address, len) < 0) {
		error_errno(err, "connect to %s", path);
		io_close(&fd);
		return -1;
	}
	return fd;
}
