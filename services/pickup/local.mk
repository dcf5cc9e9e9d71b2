pkglibexec_PROGRAMS += services/pickup/pickup
services_pickup_pickup_SOURCES = \
	services/pickup/content.c services/pickup/content.h \
	services/pickup/drop_dir.c services/pickup/drop_dir.h \
	services/pickup/drop_file.c services/pickup/drop_file.h \
	services/pickup/drop_socket.c services/pickup/drop_socket.h \
	services/pickup/intake.c services/pickup/intake.h \
	services/pickup/line_facts.c services/pickup/line_facts.h \
	services/pickup/main.c \
	services/pickup/notice.c services/pickup/notice.h \
	services/pickup/pickup.h \
	services/pickup/report.c services/pickup/report.h \
	services/pickup/submission.c services/pickup/submission.h \
	services/pickup/template.c services/pickup/template.h services/pickup/template_expand.c
services_pickup_pickup_LDADD = $(LIBMAIL) $(LIBSERVER) $(EVENT_LIBS) $(SECCOMP_LIBS)
