#include "api/vendors.h"
#include "common/http.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct vendor vendors[] = {
    { "pylon", "https://api.usepylon.com", "issue_pull" },
};

enum rc
vendor_find(const char *name, const struct vendor **out, struct err *err)
{
    char known[256] = "";

    for (size_t i = 0; i < COUNT_OF(vendors); i++) {
        size_t n = strlen(known);

        if (strcmp(vendors[i].name, name) == 0) {
            *out = &vendors[i];
            return RC_OK;
        }
        (void)snprintf(known + n, sizeof known - n, "%s%s", n > 0 ? ", " : "", vendors[i].name);
    }
    return err_set(err, RC_INVALID, "vendor: %s is not known; known are: %s", name, known);
}

static bool
is_loopback(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 || strcmp(host, "[::1]") == 0 ||
           strncmp(host, "127.", 4) == 0;
}

/* Whether `host` is among "a.example,b.example". */
static bool
is_listed(const char *list, const char *host)
{
    size_t n = strlen(host);

    for (const char *p = list; *p != '\0';) {
        size_t word;

        p += strspn(p, ", ");
        word = strcspn(p, ", ");
        if (word == n && n > 0 && strncasecmp(p, host, n) == 0)
            return true;
        p += word;
    }
    return false;
}

enum rc
vendor_check_url(const struct app *a, const char *url, char *out, size_t size, struct err *err)
{
    struct http_url u;
    size_t n = strlen(url);

    if (http_url_parse(url, &u, err) != RC_OK)
        return err_wrap(err, "base_url");
    if (strpbrk(url, "?#") != NULL)
        return err_set(err, RC_INVALID, "base_url: a query or fragment has no place in it");
    if (!u.tls && !is_loopback(u.host) && !is_listed(conf_str(a->conf, "allow-http-hosts"), u.host))
        return err_set(err, RC_INVALID,
                       "base_url: must be https://, for the token travels in it; start the api with "
                       "--allow-http-hosts %s if you trust the way there",
                       u.host);
    while (n > 0 && url[n - 1] == '/')
        n--;
    if (n >= size)
        return err_set(err, RC_INVALID, "base_url: is longer than %zu bytes", size - 1);
    (void)snprintf(out, size, "%.*s", (int)n, url);
    return RC_OK;
}

static const struct setting {
    const char *name;
    int64_t min, max;
} settings_known[] = {
    { "page_size", 1, 999 },
    { "lookback_s", 0, 31536000 },
    { "settle_s", 0, 86400 },
    { "directory_refresh_s", 60, 31536000 },
};
enum { LIMIT_MAX = 100000, LIMIT_CLASSES_MAX = 32 };

static enum rc
check_limits(const json_t *limits, struct err *err)
{
    const char *name;
    json_t *v;

    if (!json_is_object(limits) || json_object_size(limits) > LIMIT_CLASSES_MAX)
        return err_set(err, RC_INVALID,
                       "settings.limits: expected an object like {\"search\": 20}, calls per minute");
    json_object_foreach((json_t *)limits, name, v)
    {
        if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > LIMIT_MAX)
            return err_set(err, RC_INVALID, "settings.limits: %.40s must be a whole number from 1 to %d",
                           name, LIMIT_MAX);
    }
    return RC_OK;
}

static enum rc
check_setting(const char *name, const json_t *v, struct err *err)
{
    for (size_t i = 0; i < COUNT_OF(settings_known); i++) {
        const struct setting *s = &settings_known[i];

        if (strcmp(s->name, name) != 0)
            continue;
        if (!json_is_integer(v) || json_integer_value(v) < s->min || json_integer_value(v) > s->max)
            return err_set(err, RC_INVALID,
                           "settings.%s: must be a whole number from %" PRId64 " to %" PRId64, name, s->min,
                           s->max);
        return RC_OK;
    }
    return err_set(
        err, RC_INVALID,
        "settings.%.40s: is not known; known are: page_size, lookback_s, settle_s, directory_refresh_s, limits",
        name);
}

enum rc
vendor_check_settings(const json_t *settings, struct err *err)
{
    const char *name;
    json_t *v;
    enum rc rc = RC_OK;

    json_object_foreach((json_t *)settings, name, v)
    {
        rc = strcmp(name, "limits") == 0 ? check_limits(v, err) : check_setting(name, v, err);
        if (rc != RC_OK)
            break;
    }
    return rc;
}
