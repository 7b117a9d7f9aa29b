"""oracle - what the tables must hold, worked out from the simulator's truth by the field table alone.

Written from the field table, schema/0002_desk.sql and common/htmltext.h; never from the connector, so that the two can disagree.
"""
import datetime
import html.parser
import json
import re

UTC = datetime.timezone.utc

ISSUE_COLUMNS = {  # column: path in the vendor's record
    "id": "id", "number": "number", "title": "title", "state": "state", "source": "source", "type": "type", "link": "link",
    "body_html": "body_html", "account_id": "account.id", "assignee_id": "assignee.id", "requester_id": "requester.id",
    "team_id": "team.id", "number_of_touches": "number_of_touches", "first_response_seconds": "first_response_seconds",
    "business_hours_first_response_seconds": "business_hours_first_response_seconds", "resolution_seconds": "resolution_seconds",
    "business_hours_resolution_seconds": "business_hours_resolution_seconds",
}
ISSUE_TIMES = {
    "created_at": "created_at", "updated_at": "updated_at", "latest_message_time": "latest_message_time",
    "first_response_at": "first_response_time", "resolution_at": "resolution_time",
}
OWN_FIELDS = {"priority": "priority", "category": "category", "handler": "handler", "resolution-type": "resolution_type",
              "self-servable": "self_servable"}
TABLES = {
    "accounts": ["id", "name", "domain", "created_at", "updated_at"],
    "users": ["id", "name", "email", "role", "account_id"],
    "issues": [*ISSUE_COLUMNS, "tags", *ISSUE_TIMES, "closed_at", *OWN_FIELDS.values(), "custom_fields"],
    "messages": ["id", "issue_id", "sender_type", "sender_id", "sender_name", "is_private", "source", "body_text", "body_html", "created_at"],
}
BLOCKS = set("p div li tr ul ol table pre blockquote h1 h2 h3 h4 h5 h6 hr br".split())
SILENT = set("script style head title".split())
SPACE = re.compile("[ \t\n\v\f\r\u00a0]+")


class _Text(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.lines, self.silent = [""], 0

    def handle_starttag(self, tag, attrs):
        if tag in BLOCKS:
            self.lines.append("")
        if tag in SILENT:
            self.silent += 1

    def handle_startendtag(self, tag, attrs):
        if tag in BLOCKS:
            self.lines.append("")

    def handle_endtag(self, tag):
        if tag in BLOCKS:
            self.lines.append("")
        if tag in SILENT and self.silent:
            self.silent -= 1

    def handle_data(self, data):
        if not self.silent:
            self.lines[-1] += data


def html_text(text):
    """What a person reads: see common/htmltext.h."""
    parser = _Text()
    parser.feed(text)
    parser.close()
    lines = (SPACE.sub(" ", line).strip(" ") for line in parser.lines)
    return "\n".join(line for line in lines if line)


def at(record, path):
    """The value at a dotted path; missing and null are the same."""
    for key in path.split("."):
        if not isinstance(record, dict):
            return None
        record = record.get(key)
    return record


def instant(text):
    if text is None:
        return None
    return datetime.datetime.fromisoformat(text).astimezone(UTC)


def custom_fields(record):
    """{slug: value, or list of values} out of both shapes."""
    given = record.get("custom_fields") or {}
    items = given.items() if isinstance(given, dict) else ((f.get("slug"), f) for f in given)
    found = {}
    for slug, field in items:
        if not isinstance(field, dict):
            continue
        found[slug] = field["values"] if isinstance(field.get("values"), list) else field.get("value")
    return found


def issue(record):
    row = {column: at(record, path) for column, path in ISSUE_COLUMNS.items()}
    row.update((column, instant(record.get(key))) for column, key in ISSUE_TIMES.items())
    row["tags"] = record.get("tags")
    row["closed_at"] = instant(record.get("closed_at")) or row["resolution_at"]
    fields = custom_fields(record)
    for slug, column in OWN_FIELDS.items():
        row[column] = fields.pop(slug, None)
    row["custom_fields"] = {slug: value for slug, value in fields.items() if value is not None}
    return row


def account(record):
    return {"id": record["id"], "name": record.get("name"), "domain": record.get("primary_domain") or record.get("domain"),
            "created_at": instant(record.get("created_at")), "updated_at": instant(record.get("updated_at"))}


def user(record):
    return {"id": record["id"], "name": record.get("name"), "email": record.get("email"), "role": "agent", "account_id": None}


def contact(record):
    return {"id": record["id"], "name": record.get("name"), "email": record.get("email"), "role": "contact",
            "account_id": at(record, "account.id")}


def message(record):
    author = record.get("author") or {}
    kind = "team" if at(author, "user.id") else "customer" if at(author, "contact.id") else "system"
    markup = record.get("message_html")
    return {
        "id": record["id"], "issue_id": record["issue_id"], "sender_type": kind, "sender_id": at(author, "user.id") or at(author, "contact.id"),
        "sender_name": author.get("name"), "is_private": bool(record.get("is_private")), "source": record.get("source"),
        "body_text": None if markup is None else html_text(markup), "body_html": markup, "created_at": instant(record.get("timestamp")),
    }


def expected(kind, truth):
    """The rows of a table by the simulator's /_sim/truth, in the order of their ids."""
    if kind == "users":
        rows = [user(r) for r in truth["users"]] + [contact(r) for r in truth["contacts"]]
    else:
        make = {"issues": issue, "accounts": account, "messages": message}[kind]
        rows = [make(r) for r in truth[kind]]
    return Rows(kind, rows)


class Rows:
    """Rows of one table, compared by id; a difference is told by its first rows and columns."""

    def __init__(self, table, rows):
        self.table = table
        self.by_id = {row["id"]: {c: row[c] for c in TABLES[table]} for row in rows}
        self.doubled = len(rows) - len(self.by_id)

    def __len__(self):
        return len(self.by_id)

    def __eq__(self, other):
        return isinstance(other, Rows) and self.table == other.table and self.by_id == other.by_id and not self.doubled and not other.doubled

    def __repr__(self):
        return f"<{len(self)} {self.table}>"

    def difference(self, other, most=5):
        """Lines that say how the two differ, the left one being what the table holds."""
        missing = sorted(other.by_id.keys() - self.by_id.keys())
        extra = sorted(self.by_id.keys() - other.by_id.keys())
        lines = [f"{self.table}: {len(self)} rows, {len(other)} expected, {len(missing)} missing, {len(extra)} too many, {self.doubled} doubled"]
        lines += [f"  missing {i}" for i in missing[:most]] + [f"  too many {i}" for i in extra[:most]]
        changed = [i for i in sorted(self.by_id.keys() & other.by_id.keys()) if self.by_id[i] != other.by_id[i]]
        lines += [f"  {len(changed)} rows differ"] if changed else []
        columns = {}
        for i in changed:
            for column in TABLES[self.table]:
                have, want = self.by_id[i][column], other.by_id[i][column]
                if have != want:
                    columns.setdefault(column, []).append((i, have, want))
        for column, found in columns.items():
            lines.append(f"  column {column}: {len(found)} differ")
            lines += [f"    {i}: holds {brief(have)}, expected {brief(want)}" for i, have, want in found[:most]]
        return lines


def brief(value):
    text = value.isoformat() if isinstance(value, datetime.datetime) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 200 else f"{text[:200]}... ({len(text)} characters)"
