#!/bin/sh
# Installed as README.md says, configuration and state are the system's own, and so they are without --prefix.
top=$(cd "${srcdir:-.}" && pwd) || exit 99
folder=$(mktemp -d) || exit 99
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 99
status=0

# wanted SYSCONFDIR LOCALSTATEDIR OPTION...: configure ends at a compiler that does nothing, and tells what it knew.
wanted() {
	etc=$1 var=$2
	shift 2
	"$top/configure" "$@" CC=false >/dev/null 2>&1
	if ! grep -qx "sysconfdir='$etc'" config.log || ! grep -qx "localstatedir='$var'" config.log; then
		echo "configure $*: $(grep -E '^(sysconfdir|localstatedir)=' config.log | tr '\n' ' ')"
		status=1
	fi
}

options=$(sed -nE 's/.*\.\/configure (.*) && make && make check.*/\1/p' "$top/README.md")
[ -n "$options" ] || exit 99
# shellcheck disable=SC2086
wanted /etc /var $options
wanted /etc /var
# shellcheck disable=SC2016
wanted '${prefix}/etc' '${prefix}/var' --prefix=/opt/postern
wanted /elsewhere /usr/state --prefix=/usr --sysconfdir=/elsewhere --localstatedir=/usr/state
exit $status
