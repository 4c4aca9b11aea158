/* Strings that live as long as the session and are equal exactly when their pointers are: object paths, comms. */
#ifndef VTRACE_FRONT_NAMES_H
#define VTRACE_FRONT_NAMES_H

#define NAMES_BUCKETS 1024

struct name;
struct names { struct name *buckets[NAMES_BUCKETS]; };

const char *names_intern(struct names *names, const char *text);
void names_close(struct names *names);

#endif
