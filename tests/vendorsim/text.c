/* text - believable words. */
#include "text.h"

#include <stdbool.h>
#include <string.h>

#include "rng.h"

#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define PICK(r, a) ((a)[rng_below((r), (uint32_t)COUNT(a))])

static const char *const words[] = {
    "the",    "report",   "shows",   "nothing", "after",     "we",      "changed", "filter", "and",
    "then",   "export",   "stays",   "empty",   "invoice",   "for",     "March",   "was",    "sent",
    "twice",  "customer", "cannot",  "log",     "in",        "since",   "morning", "page",   "loads",
    "slowly", "on",       "mobile",  "webhook", "fires",     "without", "payload", "please", "look",
    "into",   "it",       "today",   "our",     "team",      "needs",   "this",    "before", "release",
    "button", "does",     "not",     "react",   "dashboard", "numbers", "differ",  "from",   "yesterday",
    "import", "stops",    "at",      "row",     "with",      "an",      "error",   "about",  "dates",
    "seats",  "were",     "added",   "but",     "billing",   "still",   "counts",  "old",    "ones",
    "search", "finds",    "deleted", "items",   "again",     "token",   "expired", "early",
};

static const char *const first_names[] = {
    "Anna",  "Björn",  "Chloé", "Dmitrij", "Élodie", "Farid", "Günther", "Hana", "Ines",  "José",
    "Kenji", "Łukasz", "Marta", "Nuno",    "Ólafur", "Priya", "Quentin", "Rosa", "Søren", "Tamar",
    "Uma",   "Václav", "Wei",   "Xenia",   "Yusuf",  "Zoë",   "美咲",    "민준", "سارة",  "Олена",
};

static const char *const last_names[] = {
    "Ahlström", "Brânză",   "Castro",  "Dvořák", "Evans",  "Fischer", "García",      "Horváth", "Ito",
    "Jansen",   "Kowalska", "Lefèvre", "Müller", "Nguyễn", "O'Neil",  "Petrov",      "Rossi",   "Şahin",
    "Tanaka",   "Ødegård",  "山田",    "김",     "حداد",   "Коваль",  "Smith-Núñez",
};

static const char *const company_heads[] = { "Blue Harbour", "Nordlicht",   "Quill & Sons", "Ямато",
                                             "Fjord",        "Sólheim",     "Patchwork",    "Ravine \"R\"",
                                             "東雲",         "Café Mirage", "Ampersand",    "Lumen" };
static const char *const company_tails[] = { "Ltd", "GmbH",     "Inc.",      "S.A.",
                                             "AB",  "株式会社", "Logistics", "Labs" };

static const char *const subjects[] = { "Export",     "Sign-in", "Invoice",   "Webhook",
                                        "Import",     "Search",  "Dashboard", "Mobile app",
                                        "Permission", "Report",  "API token", "Calendar sync" };
static const char *const verbs[] = { "stuck at",      "fails with", "missing after", "shows",
                                     "slow since",    "asks for",   "differs from",  "duplicated by",
                                     "rejected with", "empty after" };
static const char *const endings[] = { "80 %",        "error 500",   "the update",     "yesterday",
                                       "an old plan", "\"unknown\"", "C:\\temp\\file", "a <b> tag",
                                       "R&D seats",   "tab\there" };

/* Titles that trip careless readers: emoji sequences, wide and right-to-left letters, combining marks, odd
 * spaces. */
static const char *const odd_titles[] = {
    "🚨 Produktion steht still 🚨",
    "👩‍💻 cannot reach 👨‍👩‍👧‍👦 settings 🇩🇪",
    "請求書が二重に届きました",
    "결제 화면이 열리지 않습니다",
    "لا يمكن تسجيل الدخول إلى الحساب",
    "הייצוא נעצר באמצע (v2.1)",
    "Cafe\xcc\x81 menu, e\xcc\x82tre, a\xcc\x8a",
    "Zero\xe2\x80\x8bwidth and no\xc2\xa0wrap space",
    "Line\xe2\x80\xa8separator in the middle",
    "𝒮𝒸𝓇𝒾𝓅𝓉 letters and 𐍈 beyond the first plane",
    "'; DROP TABLE issues; --",
    "Comma, \"quote\", back\\slash, {brace}, NULL, \\N",
    "  leading and trailing blanks  ",
    "Ценник показывает ₽ вместо €",
};

static const char *const entities[] = {
    "&amp;",         "&lt;tag&gt;",       "&nbsp;",     "&#39;quoted&#39;", "&#x1F600;",
    "&quot;x&quot;", "&eacute;t&eacute;", "&copy; 2026"
};
static const char *const odd_pieces[] = { "naïve",     "日本語",  "🙂",   "שלום",
                                          "e\xcc\x81", "C:\\dir", "\"so\"", "50 €" };

static const char *const tag_names[] = { "billing",     "bug",  "vip",  "a,b",        "say \"hi\"",
                                         "back\\slash", "über", "急ぎ", "{curly}",    "with space",
                                         "🔥",           "it's", "NULL", "churn-risk", "q3/renewal" };

void
text_person(struct buf *b, uint64_t seed)
{
    struct rng r = { seed };

    buf_str(b, PICK(&r, first_names));
    buf_char(b, ' ');
    buf_str(b, PICK(&r, last_names));
}

void
text_company(struct buf *b, uint64_t seed)
{
    struct rng r = { seed };

    buf_printf(b, "%s %s %u", PICK(&r, company_heads), PICK(&r, company_tails), rng_below(&r, 90) + 10);
}

void
text_title(struct buf *b, uint64_t seed)
{
    struct rng r = { seed };

    if (rng_chance(&r, 120)) {
        buf_str(b, PICK(&r, odd_titles));
        if (rng_chance(&r, 500))
            buf_printf(b, " #%u", rng_below(&r, 1000));
        return;
    }
    buf_printf(b, "%s %s %s", PICK(&r, subjects), PICK(&r, verbs), PICK(&r, endings));
}

/* Each word with a blank behind it, in a row of its own, so that one copy of fixed size is enough. */
enum { WORD_ROOM = 16 };
static char word_rows[COUNT(words)][WORD_ROOM];
static unsigned char word_lengths[COUNT(words)];

__attribute__((constructor)) static void
fill_words(void)
{
    for (size_t i = 0; i < COUNT(words); i++) {
        size_t n = strlen(words[i]);

        memcpy(word_rows[i], words[i], n);
        word_rows[i][n] = ' ';
        word_lengths[i] = (unsigned char)(n + 1);
    }
}

static void
put_words(struct buf *b, struct rng *r, size_t bytes)
{
    size_t end = b->len + bytes;

    while (b->len < end) {
        uint64_t bits = rng_next(r), dice = bits;

        buf_room(b, (size_t)4 * WORD_ROOM);
        for (int i = 0; i < 4 && b->len < end; i++, dice >>= 16) {
            size_t k = (dice & 0xffff) * COUNT(words) >> 16;

            memcpy(b->p + b->len, word_rows[k], WORD_ROOM);
            b->len += word_lengths[k];
        }
        if ((bits & 31) == 0)
            buf_str(b, PICK(r, entities));
        else if ((bits & 31) == 1)
            buf_str(b, PICK(r, odd_pieces));
    }
}

static void
put_paragraph(struct buf *b, struct rng *r, size_t bytes)
{
    buf_str(b, "<p>");
    put_words(b, r, bytes / 2);
    if (rng_chance(r, 300))
        buf_str(b, "<br/>");
    if (rng_chance(r, 150))
        buf_printf(b, "<a href=\"https://app.client.example/t/%u?a=1&amp;b=2\">this page</a> ",
                   rng_below(r, 9999));
    if (rng_chance(r, 150))
        buf_str(b, "<strong>important</strong>: ");
    put_words(b, r, bytes / 2);
    buf_str(b, "</p>");
}

static void
put_list(struct buf *b, struct rng *r)
{
    const char *tag = rng_chance(r, 500) ? "ul" : "ol";
    uint32_t n = 2 + rng_below(r, 3);

    buf_printf(b, "<%s>", tag);
    for (uint32_t i = 0; i < n; i++) {
        buf_str(b, "<li>");
        put_words(b, r, 20);
        if (i == 1 && rng_chance(r, 300))
            buf_str(b, "<ul><li>nested &gt; one</li><li>nested two</li></ul>");
        buf_str(b, "</li>");
    }
    buf_printf(b, "</%s>", tag);
}

static void
put_quote(struct buf *b, struct rng *r)
{
    buf_str(b, "<div class=\"quote\"><blockquote><div>");
    put_paragraph(b, r, 60);
    buf_str(b, "<div>line one<br>line two</div></div></blockquote></div>");
}

void
text_body_html(struct buf *b, uint64_t seed, int64_t average)
{
    struct rng r = { seed };
    size_t goal = (size_t)rng_between(&r, average / 5, average * 9 / 5);
    size_t end = b->len + goal;

    if (rng_chance(&r, 20)) /* some customers write a subject only */
        return;
    if (rng_chance(&r, 250) && goal > 300)
        put_list(b, &r);
    if (rng_chance(&r, 150) && goal > 400)
        put_quote(b, &r);
    do {
        size_t left = end > b->len + 20 ? end - b->len - 7 : 20;

        put_paragraph(b, &r, left < 400 ? left : (size_t)rng_between(&r, 120, 360));
    } while (b->len < end);
}

void
text_message_html(struct buf *b, uint64_t seed)
{
    struct rng r = { seed };
    uint32_t form = rng_below(&r, 100);

    if (form < 3)
        return;
    if (form < 8) {
        buf_str(b, form < 5 ? "<p></p>" : "Plain text, no markup &amp; no end");
        return;
    }
    put_paragraph(b, &r, (size_t)rng_between(&r, 20, 250));
    if (form < 25)
        put_list(b, &r);
    if (form >= 90)
        put_quote(b, &r);
    if (form >= 80)
        put_paragraph(b, &r, (size_t)rng_between(&r, 40, 200));
    if (form >= 60 && form < 65)
        buf_str(b, "<p>Best,<br/>&mdash;<br>S. &amp; team</p>");
}

int
text_tags(uint64_t seed, const char *out[TAGS_MAX])
{
    struct rng r = { seed };
    int n = rng_chance(&r, 450) ? 1 + (int)rng_below(&r, TAGS_MAX) : 0;
    uint32_t at = rng_below(&r, (uint32_t)COUNT(tag_names));

    for (int i = 0; i < n; i++) {
        out[i] = tag_names[at];
        at = (at + 1 + rng_below(&r, 3)) % (uint32_t)COUNT(tag_names);
    }
    return n;
}
