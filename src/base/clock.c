#include "base/clock.h"

#include <limits.h>

int64_t clock_mono(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

int64_t clock_real(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * US_PER_SEC + ts.tv_nsec / 1000;
}

int64_t deadline_in(int64_t seconds)
{
	int64_t now = clock_mono();

	if (seconds <= 0 || seconds > (INT64_MAX - now) / NS_PER_SEC)
		return INT64_MAX;
	return now + seconds * NS_PER_SEC;
}

int clock_left_ms(int64_t deadline)
{
	int64_t left;

	if (deadline == INT64_MAX)
		return -1;
	left = deadline - clock_mono();
	if (left <= 0)
		return 0;
	left = (left + NS_PER_MS - 1) / NS_PER_MS;
	return left > INT_MAX ? INT_MAX : (int)left;
}

/* strftime would use the locale's names. */
char *clock_rfc5322(int64_t real_us, char *out, size_t size)
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t when = (time_t)(real_us / US_PER_SEC);
	struct tm tm = {0};
	long offset;

	localtime_r(&when, &tm);
	offset = (tm.tm_gmtoff < 0 ? -tm.tm_gmtoff : tm.tm_gmtoff) / 60;
	snprintf(out, size, "%s, %d %s %d %02d:%02d:%02d %c%02ld%02ld (%.20s)", days[tm.tm_wday], tm.tm_mday,
		months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
		tm.tm_gmtoff < 0 ? '-' : '+', offset / 60, offset % 60, tm.tm_zone);
	return out;
}
