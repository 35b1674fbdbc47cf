/* Functions that must not be used; this header is included before every source file by the build. */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* A library's header whose macros use some of them; the build names it for the one source that needs it. */
#ifdef BANNED_AFTER
#include BANNED_AFTER
#endif

/* The C library makes macros of some. */
#undef sprintf
#undef vsprintf
#undef strcpy
#undef strcat
#undef strncpy
#undef strncat
#undef strtok

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gets atoi atol atoll
#pragma GCC poison mktemp tmpnam tempnam asctime ctime gmtime localtime

#endif
