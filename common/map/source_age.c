#include "common/map/source_age.h"

#include <stdio.h>
#include <sys/stat.h>

#include "common/base/clock.h"

/* As in Postfix. */
enum { TIME_TO_BUILD_SECONDS = 100 };

void
source_age_check(const struct map_input *in, time_t built)
{
	struct stat text;
	char line[MAP_NAME_MAX + 100];

	if (stat(in->name, &text) < 0 || built >= text.st_mtime)
		return;
	if (text.st_mtime > clock_wall_us() / US_PER_SECOND - TIME_TO_BUILD_SECONDS &&
	    built + TIME_TO_BUILD_SECONDS > text.st_mtime)
		return;
	(void)snprintf(line, sizeof(line), "database is older than source file %s", in->name);
	in->complain(in->path, 0, line, in->context);
}
