# POSTERN_CLIENT_LIBRARY(NAME, PKG-CONFIG-MODULES, HEADER, FUNCTION, LIBRARY, DEBIAN-PACKAGE)
# Is the library of a kind of table there? Then HAVE_NAME and the soname NAME_SONAME are defined: the library is not
# linked but loaded when a table of that kind is opened. --without-name leaves it out, --with-name insists on it.
AC_DEFUN([POSTERN_CLIENT_LIBRARY], [
  m4_pushdef([UP], m4_toupper([$1]))
  AC_ARG_WITH([$1], [AS_HELP_STRING([--with-$1], [tables in $1: (default: if $6 is installed)])],
    [], [with_$1=check])
  have_$1=no
  AS_IF([test "x$with_$1" != xno], [
    for module in $2; do
      AS_IF([test "x$have_$1" = xno],
        [PKG_CHECK_EXISTS([$module], [have_$1=yes
          UP[]_CFLAGS=`$PKG_CONFIG --cflags $module`; client_LIBS=`$PKG_CONFIG --libs $module`])])
    done
    AS_IF([test "x$have_$1" = xno], [have_$1=yes; UP[]_CFLAGS=; client_LIBS=-l$1])
    client_save_CPPFLAGS=$CPPFLAGS; client_save_LIBS=$LIBS; client_save_LDFLAGS=$LDFLAGS
    CPPFLAGS="$CPPFLAGS $UP[]_CFLAGS"; LIBS="$client_LIBS $LIBS"; LDFLAGS="$LDFLAGS -Wl,--no-as-needed"
    AC_MSG_CHECKING([for $1 client library])
    client_soname=
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[
#define PCRE2_CODE_UNIT_WIDTH 8
#include <$3>]], [[return (void *)&$4 == 0;]])],
      [client_soname=`objdump -p conftest$EXEEXT 2>/dev/null | sed -n 's/^ *NEEDED *//p' | grep -E '^lib($5)(-|\.)' | sed 1q`])
    CPPFLAGS=$client_save_CPPFLAGS; LIBS=$client_save_LIBS; LDFLAGS=$client_save_LDFLAGS
    AS_IF([test -n "$client_soname"], [have_$1=$client_soname], [have_$1=no])
    AC_MSG_RESULT([$have_$1])
    AS_IF([test "x$have_$1" = xno && test "x$with_$1" = xyes],
      [AC_MSG_ERROR([--with-$1 was given, and its client library is missing (Debian: $6)])])
  ])
  AS_IF([test "x$have_$1" != xno], [
    AC_DEFINE([HAVE_]UP, [1], [tables in $1 are built in])
    AC_DEFINE_UNQUOTED(UP[_SONAME], ["$client_soname"], [the client library of tables in $1])
    postern_tables="$postern_tables $1"
  ], [postern_no_tables="$postern_no_tables $1"])
  AC_SUBST(UP[_CFLAGS])
  AM_CONDITIONAL([HAVE_]UP, [test "x$have_$1" != xno])
  m4_popdef([UP])
])

# POSTERN_SONAME(NAME, PKG-CONFIG-MODULE, HEADER, FUNCTION, LIBRARY): NAME_CFLAGS, and NAME_SONAME defined; have_name says
# the soname, or no.
AC_DEFUN([POSTERN_SONAME], [
  m4_pushdef([UP], m4_toupper([$1]))
  have_$1=no
  PKG_CHECK_EXISTS([$2], [
    UP[]_CFLAGS=`$PKG_CONFIG --cflags $2`
    soname_save_CPPFLAGS=$CPPFLAGS; soname_save_LIBS=$LIBS; soname_save_LDFLAGS=$LDFLAGS
    CPPFLAGS="$CPPFLAGS $UP[]_CFLAGS"; LIBS="`$PKG_CONFIG --libs $2` $LIBS"; LDFLAGS="$LDFLAGS -Wl,--no-as-needed"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <$3>]], [[return (void *)&$4 == 0;]])],
      [have_$1=`objdump -p conftest$EXEEXT 2>/dev/null | sed -n 's/^ *NEEDED *//p' | grep -E '^lib($5)(-|\.)' | sed 1q`])
    CPPFLAGS=$soname_save_CPPFLAGS; LIBS=$soname_save_LIBS; LDFLAGS=$soname_save_LDFLAGS
  ])
  AS_IF([test -n "$have_$1" && test "x$have_$1" != xno],
    [AC_DEFINE_UNQUOTED(UP[_SONAME], ["$have_$1"], [what is loaded of $1])], [have_$1=no])
  AC_SUBST(UP[_CFLAGS])
  m4_popdef([UP])
])
