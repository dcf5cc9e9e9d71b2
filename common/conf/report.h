/*
 * report: gathers complaints about a configuration. Its own header, for conf.h shows only what readers need.
 */
#ifndef POSTERN_CONF_REPORT_H
#define POSTERN_CONF_REPORT_H

#include "common/conf/conf.h"

/* file is copied. More complaints than anyone reads are counted into the last one. */
void conf_report_add(struct conf_report *r, char severity, const char *file, unsigned line,
    const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
