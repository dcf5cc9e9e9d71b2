#!/bin/sh
# check_sections.c says of some parameters that they change nothing in a section: then nothing that has a section's
# values reads them.
top=${srcdir:-.}

names=$(sed -n '/^static const char \*const global_only/,/^};/s/^ *"\(.*\)",$/\1/p' "$top/common/conf/check_sections.c")
rows=$(sed -nE 's/^(BOOL|INT|SIZE|TIME|ENUM|TEXT|RAW)\(([A-Za-z0-9_]+),.*/\2/p' "$top/common/conf/params.def")
read=$(cat "$top"/smtpd/*.c "$top"/common/server/*.c "$top"/services/auth/*.c | grep -oE -e '->[a-z_][A-Za-z0-9_]*|"[a-z_][A-Za-z0-9_]*"' | tr -d '"' | sed 's/^->//' | sort -u)
[ -n "$names" ] && [ -n "$rows" ] && [ -n "$read" ] || exit 99

status=0
set -f
for pattern in $names; do
	found=no
	for row in $rows; do
		# shellcheck disable=SC2254
		case $row in $pattern) ;; *) continue ;; esac
		found=yes
		if printf '%s\n' "$read" | grep -qxF "$row"; then
			echo "$row: smtpd reads it"
			status=1
		fi
	done
	[ "$found" = yes ] || { echo "$pattern: no parameter"; status=1; }
done
exit $status
