#!/bin/sh
# What the pages name exists, and what there is they name.
top=${srcdir:-.}
status=0

missing() {
	echo "$1"
	status=1
}

# Source files in docs/design; a path may begin anywhere.
pages=$(ls "$top"/docs/design/*.md "$top"/docs/admin/*.md "$top/README.md") || exit 99
files=$(cd "$top" && find common delivery docs queue services smtpd tests tools -type f | sed 's,^,/,') || exit 99
# shellcheck disable=SC2086
for name in $(grep -ohE '[A-Za-z0-9_/]+\.(c|h|def|py|sh)\b' $pages | sort -u); do
	printf '%s\n' "$files" | grep -qE "/$name\$" || missing "the pages name $name, which is not there"
done

# Kinds of tables in postern.conf(5).
kinds=$(sed -nE 's/.*&map_kind_([a-z]+),.*/\1/p' "$top/common/map/kinds.c")
[ -n "$kinds" ] || exit 99
for kind in $kinds; do
	sed -n '/^with the types/,/\.$/p' "$top/docs/man/postern.conf.5.head" |
		grep -qw "$kind" || missing "postern.conf(5) does not name tables of kind $kind"
done

# Options of queue commands in postern(8).
options=$(sed -nE 's/^ *\{"([a-z-]+)", VALUE_.*/\1/p' "$top/tools/queue_options.c")
[ -n "$options" ] || exit 99
for option in $options; do
	grep -qE "Fl -$option( |\$)" "$top/docs/man/postern.8" || missing "postern(8) does not name --$option"
done

# The commands themselves.
commands=$(sed -nE 's/^COMMAND\("([a-z-]+)",.*/\1/p' "$top/tools/commands.def")
[ -n "$commands" ] || exit 99
for command in $commands; do
	grep -qE "^\.It Cm $command( |\$)" "$top/docs/man/postern.8" || missing "postern(8) does not tell of $command"
done

# Pages that troff has something to say about; the one of postern.conf(5) is made here.
if man --help 2>&1 | grep -q -- --warnings; then
	for page in "$top"/docs/man/*.[1-8] docs/man/postern.conf.5; do
		said=$(MANWIDTH=80 LC_ALL=C.UTF-8 man --warnings --local-file "$page" 2>&1 >/dev/null)
		[ -z "$said" ] || missing "$page: $said"
	done
fi
exit $status
