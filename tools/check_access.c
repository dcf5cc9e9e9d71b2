#include "tools/check_access.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool
check_access_remedy(const char *path, char *out, size_t size)
{
	const struct group *group = getgrgid(getegid());
	char folder[PATH_MAX];

	for (const char *slash = strchr(path, '/'); slash && path[0] == '/'; slash = strchr(slash + 1, '/')) {
		int len = (int)(slash - path);

		if (len == 0)
			continue;
		(void)snprintf(folder, sizeof(folder), "%.*s", len, path);
		if (access(folder, X_OK) == 0)
			continue;
		(void)snprintf(out, size, "chmod o+x %.*s", len, path);
		return errno == EACCES;
	}
	if (path[0] != '/' || group == NULL || access(path, R_OK) == 0 || errno != EACCES)
		return false;
	(void)snprintf(out, size, "chgrp %s %s && chmod u=rw,g=r,o= %s", group->gr_name, path, path);
	return true;
}
