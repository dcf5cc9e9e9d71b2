#include "config.h"

#ifdef HAVE_OAUTH2

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/map/lines.h"
#include "common/map/oauth2.h"

enum { PATH_OCTETS_MAX = 4096 };

char *
oauth2_secret_read(const char *path, struct error *err)
{
	char *secret = NULL;
	size_t len;
	char *bytes = lines_load(path, OAUTH2_SECRET_MAX + 100, &len, err);

	if (bytes == NULL)
		return NULL;
	struct span text = span_trim(span_make(bytes, len));
	if (oauth2_token_valid(text, OAUTH2_SECRET_MAX))
		secret = mem_strndup(text.ptr, text.len);
	else
		error_set(err, "%s: need one word of visible ASCII", path);
	explicit_bzero(bytes, len);
	free(bytes);
	return secret;
}

/* Into a new file of that directory, which has the place's owner and mode. */
static int
write_new(int directory, const char *name, const struct stat *place, const char *secret, struct error *err)
{
	int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int result = -1;

	if (fd < 0)
		return error_errno(err, "making a new file");
	if (io_write_all(fd, secret, strlen(secret)) < 0 || io_write_all(fd, "\n", 1) < 0)
		error_errno(err, "writing a new file");
	else if (geteuid() != place->st_uid && fchown(fd, place->st_uid, place->st_gid) < 0)
		error_errno(err, "giving the new file to its owner");
	else if (fchmod(fd, place->st_mode & 0660) < 0 || fsync(fd) < 0)
		error_errno(err, "finishing the new file");
	else
		result = 0;
	(void)io_close(&fd);
	return result;
}

static int
replace(int directory, const char *base, const char *secret, struct error *err)
{
	char name[NAME_MAX + 1];
	struct stat place;
	int len = snprintf(name, sizeof(name), ".%s.%ld", base, (long)getpid());

	if (len < 0 || (size_t)len >= sizeof(name))
		return error_set(err, "its name is too long");
	if (fstatat(directory, base, &place, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(err, "looking at it");
	if (!S_ISREG(place.st_mode))
		return error_set(err, "it is no regular file");
	(void)unlinkat(directory, name, 0);
	if (write_new(directory, name, &place, secret, err) == 0 &&
	    renameat(directory, name, directory, base) == 0)
		return fsync(directory) == 0 ? 0 : error_errno(err, "syncing its directory");
	if (err->text[0] == '\0')
		error_errno(err, "putting the new file in its place");
	(void)unlinkat(directory, name, 0);
	return -1;
}

/* By the directory's descriptor: whoever may rename things in it leads nobody elsewhere. */
int
oauth2_secret_write(const char *path, const char *secret, struct error *err)
{
	char folder[PATH_OCTETS_MAX];
	ptrdiff_t slash = span_find_last(span_of(path), '/');
	struct error why = {0};

	if (slash < 0 ||
	    !span_copy(span_sub(span_of(path), 0, slash > 0 ? (size_t)slash : 1), folder, sizeof(folder)))
		return error_set(err, "%s: need an absolute path", path);
	int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = directory < 0 ? error_errno(&why, "its directory")
				   : replace(directory, path + slash + 1, secret, &why);
	(void)io_close(&directory);
	return result == 0 ? 0 : error_set(err, "%s: %s", path, why.text);
}

#endif
