/* Time. Deadlines and intervals are nanoseconds of the monotonic clock; times of day are microseconds since
 * the epoch. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define NS_PER_SEC INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define US_PER_SEC INT64_C(1000000)

int64_t clock_mono(void); /* nanoseconds */
int64_t clock_real(void); /* microseconds since 1970 */
int64_t deadline_in(
	int64_t seconds); /* clock_mono() + seconds; <= 0 seconds: no deadline, returned as INT64_MAX */
int clock_left_ms(int64_t deadline); /* for poll(): 0 when past, -1 for INT64_MAX, rounded up */
/* "Fri, 20 Nov 2026 06:26:30 +0000 (UTC)", RFC 5322 section 3.3 with the zone's name; out needs 64 bytes.
 * Local time zone. */
char *clock_rfc5322(int64_t real_us, char *out, size_t size);

#endif
