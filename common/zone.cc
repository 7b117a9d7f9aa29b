// The one C++ file that knows cctz. Nothing is thrown across the C boundary: no memory is RC_INTERNAL or,
// where no error can be returned, the end of the process.
#include "common/zone.h"

#include <cctz/civil_time.h>
#include <cctz/time_zone.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>

struct zone {
    cctz::time_zone tz;
};

namespace
{

using seconds_point = cctz::time_point<cctz::seconds>;
constexpr std::int64_t second_us = 1000000;

// Names that come from outside become paths below the tzdata folder: nothing but plain words and slashes.
bool
is_plain(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";

    return *name != '\0' && std::strlen(name) < 64 && std::strspn(name, allowed) == std::strlen(name) &&
           *name != '/' && std::strstr(name, "//") == nullptr;
}

// In tzdata, but no zone of its own: another view of the whole tree (right/ counts leap seconds), or this
// host's.
bool
is_refused(const char *name)
{
    return std::strncmp(name, "posix/", 6) == 0 || std::strncmp(name, "right/", 6) == 0 ||
           std::strcmp(name, "posixrules") == 0 || std::strcmp(name, "localtime") == 0;
}

// cctz remembers each name it was asked for, right or wrong, forever; so it is only asked for those that
// exist.
bool
exists(const std::string &name)
{
    const char *dir = std::getenv("TZDIR");
    struct stat st;
    std::string path = std::string(dir != nullptr && *dir != '\0' ? dir : "/usr/share/zoneinfo") + "/" + name;

    return stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode);
}

const struct zone *
load(const std::string &name)
{
    static std::mutex mutex;
    static auto *cache = new std::map<std::string, std::unique_ptr<zone>>; // lives as long as the process
    std::lock_guard<std::mutex> guard(mutex);
    auto found = cache->find(name);

    if (found != cache->end())
        return found->second.get();
    auto z = std::make_unique<zone>();
    if (name == "UTC")
        z->tz = cctz::utc_time_zone();
    else if (!exists(name) || !cctz::load_time_zone(name, &z->tz))
        return nullptr;
    return cache->emplace(name, std::move(z)).first->second.get();
}

seconds_point
to_point(std::int64_t t)
{
    std::int64_t s = t / second_us - (t % second_us < 0 ? 1 : 0);

    return seconds_point(cctz::seconds(s));
}

std::int64_t
to_us(seconds_point p)
{
    std::int64_t s = p.time_since_epoch().count(), us;

    if (__builtin_mul_overflow(s, second_us, &us))
        return s < 0 ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max();
    return us;
}

} // namespace

extern "C" enum rc
zone_find(const char *name, const struct zone **out, struct err *err)
try {
    const struct zone *z = is_plain(name) && !is_refused(name) ? load(name) : nullptr;

    if (z == nullptr)
        return err_set(
            err, RC_INVALID,
            "'%.64s' is not a time zone: expected a name of the IANA database, like Europe/Berlin or UTC",
            name);
    *out = z;
    return RC_OK;
} catch (...) {
    return err_set(err, RC_INTERNAL, "no memory for the time zone '%.64s'", name);
}

extern "C" void
zone_local(const struct zone *z, int64_t t, struct civil *out)
try {
    static const int weekdays[] = { 1, 2, 3, 4, 5, 6, 0 }; // cctz begins with Monday
    const cctz::civil_second cs = z->tz.lookup(to_point(t)).cs;

    out->year = static_cast<int>(cs.year());
    out->month = cs.month();
    out->day = cs.day();
    out->hour = cs.hour();
    out->minute = cs.minute();
    out->second = cs.second();
    out->weekday = weekdays[static_cast<int>(cctz::get_weekday(cctz::civil_day(cs)))];
} catch (...) {
    std::abort();
}

extern "C" enum zone_kind
zone_instant(const struct zone *z, const struct civil *c, int64_t *first, int64_t *second)
try {
    const cctz::civil_second cs(c->year, c->month, c->day, c->hour, c->minute, c->second);
    const cctz::time_zone::civil_lookup found = z->tz.lookup(cs);

    if (found.kind == cctz::time_zone::civil_lookup::SKIPPED) {
        *first = to_us(found.trans);
        return ZONE_SKIPPED;
    }
    *first = to_us(found.pre);
    if (found.kind == cctz::time_zone::civil_lookup::UNIQUE)
        return ZONE_UNIQUE;
    if (second != nullptr)
        *second = to_us(found.post);
    return ZONE_REPEATED;
} catch (...) {
    std::abort();
}

extern "C" bool
zone_next_change(const struct zone *z, int64_t t, int64_t *out)
try {
    seconds_point p = to_point(t);
    cctz::time_zone::civil_transition change;

    while (z->tz.next_transition(p, &change)) {
        const cctz::time_zone::civil_lookup at = z->tz.lookup(change.to);

        p = at.kind == cctz::time_zone::civil_lookup::UNIQUE ? at.pre : at.trans;
        if (change.from != change.to) { // only a new abbreviation otherwise
            *out = to_us(p);
            return true;
        }
    }
    return false;
} catch (...) {
    std::abort();
}
