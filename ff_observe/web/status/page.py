"""The status document → the page that shows it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Final

from ff_observe.catalogue import bridge as catalogue
from ff_observe.catalogue import facts
from ff_observe.http.messages import Answer
from ff_observe.platform.limits import Level
from ff_observe.problems import Severity
from ff_observe.web.status import curves, further
from ff_observe.web.status.document import (
    Breakdown,
    Change,
    ChangeKind,
    Contact,
    FieldChange,
    Figure,
    Finding,
    Licence,
    Limit,
    Output,
    OutputState,
    Ping,
    StatusDocument,
)
from ff_observe.web.status.frame import PRODUCT, header, page, product
from ff_observe.web.status.markup import Content, Markup, breakable, element, join, prose
from ff_observe.web.status.values import is_moment, moment, number, rfc3339, shown

_SEVERITY_WORDS: Final = {Severity.ERROR: "Problem", Severity.WARNING: "Warning", Severity.NOTE: "Note"}
_CHANGE_WORDS: Final = {ChangeKind.BAD: "Worse: ", ChangeKind.GOOD: "Better: ", ChangeKind.NEUTRAL: ""}


@dataclass(frozen=True, slots=True)
class Link:
    """A place to go from here."""

    path: str
    title: str
    about: str


def render(document: StatusDocument, links: Sequence[Link], root: str) -> Answer:
    """The whole page. `root` is where the application is, without a slash at the end; `links` begin there."""
    documents = root + further.PATH if further.documents() else None
    title = " · ".join(filter(None, (document.summary, document.name, PRODUCT)))
    lost = element("p", "", id="lost", class_="lost", role="alert", hidden=True)
    above = join(_header(document), lost)
    return page(
        title, root, "status", above, _sections(document, links, root, documents), _footer(document), renews=True
    )


def _sections(document: StatusDocument, links: Sequence[Link], root: str, documents: str | None) -> Iterable[Content]:
    limited = {f"flowfuse_{resource}" for resource in facts.LIMITS}
    others = [figure for figure in document.figures if figure.name not in limited]
    yield _findings(document.findings, documents)
    yield _first_figures([figure for figure in document.figures if figure.name in limited], document)
    yield element(
        "div",
        _licence(document.licence),
        _ping(document.ping, documents),
        _platform(document),
        _changes(document.changes),
        _outputs(document.outputs, documents),
        _egress(document.egress, documents),
        _other_figures(others, document),
        _links(links, root),
        class_="board",
    )


def _header(document: StatusDocument) -> Markup:
    if document.name is None:
        heading, about = product(document.version), "Observability bridge for FlowFuse"
    else:
        heading, about = join(document.name), f"{PRODUCT} {document.version}"
    return header(heading, about, document.state, document.summary)


def _findings(findings: Sequence[Finding], documents: str | None) -> Markup | None:
    if not findings:
        return None
    items = [
        element(
            "li",
            element("h3", element("span", f"{_SEVERITY_WORDS[each.severity]}: ", class_="unseen"), prose(each.title)),
            element("p", prose(each.detail)),
            _fix(each, documents) if each.fix else None,
            class_=f"finding {each.severity}",
        )
        for each in findings
    ]
    title = "Notes" if findings[0].severity is Severity.NOTE else "Problems"
    return _section("problems", title, element("ul", *items))


def _fix(finding: Finding, documents: str | None) -> Markup:
    more = None
    found = further.runbook(finding.id)
    if documents is not None and found is not None:
        alert, document = found
        more = join(
            " ",
            element("a", "Runbook", element("span", f" of {alert}", class_="unseen"), href=f"{documents}/{document}"),
        )
    return element("p", element("strong", "What to do: "), prose(finding.fix), more, class_="fix")


def _about(what: str, documents: str | None, name: str) -> Markup | None:
    if documents is None:
        return None
    return element("p", element("a", f"About {what}", href=f"{documents}/{name}"), class_="about")


def _first_figures(figures: Sequence[Figure], document: StatusDocument) -> Markup | None:
    if not figures:
        return None
    cards = [
        element(
            "li",
            element("h3", figure.title),
            element("p", number(figure.value), class_="number"),
            _curve(figure, document),
            *(_breakdown(each) for each in figure.breakdowns),
        )
        for figure in figures
    ]
    return _section("figures", f"Figures {_span(document)}", element("ul", *cards), quiet=True)


def _curve(figure: Figure, document: StatusDocument) -> Markup:
    return curves.sparkline(figure.day, f"{figure.title} {_span(document)}")


def _breakdown(breakdown: Breakdown) -> Markup:
    parts = [element("div", element("dt", part.label), element("dd", number(part.value))) for part in breakdown.parts]
    return element("dl", *parts, class_="parts", aria_label=breakdown.title)


def _other_figures(figures: Sequence[Figure], document: StatusDocument) -> Markup | None:
    if not figures:
        return None
    rows = [
        element(
            "tr",
            element("th", figure.title, scope="row"),
            element("td", None if is_moment(figure) else _curve(figure, document), class_="curve"),
            element("td", shown(figure), class_="value"),
        )
        for figure in figures
    ]
    head = element("tr", *(element("th", title, scope="col") for title in ("Count", "Last day", "Now")))
    return _section("counts", "More counts", element("table", element("thead", head), element("tbody", *rows)))


def _licence(licence: Licence) -> Markup:
    expiry = element("p", prose(licence.outlook), class_=f"outlook {licence.level}") if licence.outlook else None
    bars = [_limit(limit) for limit in licence.limits]
    return _section(
        "licence",
        "Licence",
        element("p", breakable(licence.summary), class_="decision"),
        expiry,
        element("ul", *bars, class_="limits") if bars else None,
    )


def _limit(limit: Limit) -> Markup:
    used = "unknown" if limit.used is None else number(limit.used)
    level = limit.level or Level.GOOD
    is_news = limit.level is not Level.GOOD or limit.reached_at is not None
    return element(
        "li",
        element("h3", limit.title, class_="name"),
        element("span", element("strong", used), f" of {number(limit.allowed)}", class_="usage"),
        curves.bar(limit.used, limit.allowed),
        element("p", prose(limit.outlook), class_="outlook") if is_news else None,
        class_=f"limit {level}",
    )


def _ping(ping: Ping, documents: str | None) -> Markup:
    words = "is sent" if ping.sent else "is not sent"
    last = None
    if ping.last is not None:
        last = join(f"{ping.last.outcome} ", moment(ping.last.at), f" to {ping.last.receiver}")
    facts_ = [
        ("Rule", element("code", ping.rule)),
        ("Last", last or "none known"),
        ("Next", moment(ping.next_at) if ping.next_at else "none due"),
    ]
    return _section(
        "ping",
        catalogue.PING_ENABLED.title,
        element("p", "The usage ping ", element("strong", words), ".", class_="decision"),
        element("p", prose(ping.explanation)),
        _list_of_facts(facts_),
        *_ping_content(ping),
        _about("the ping", documents, "ping"),
        class_="on" if ping.sent else "off",
    )


def _ping_content(ping: Ping) -> Iterable[Content]:
    if ping.changes is not None:
        count = len(ping.changes)
        words = "Nothing changed" if count == 0 else "1 change" if count == 1 else f"{count} changes"
        title = f"{words} since the last delivered ping"
        rows = [_field_change(each) for each in ping.changes]
        yield _details("ping-changes", title, element("ul", *rows, class_="fields")) if rows else element("p", title)
    if ping.body is not None:
        note = None
        if ping.hidden:
            note = element(
                "p",
                f"Without {' and '.join(ping.hidden)}: everyone who can open this page may read it. "
                "Where the page asks for a password or a certificate, it shows them; so does ",
                element("code", f"{PRODUCT} ping show"),
                ".",
            )
        size = f"{len(ping.body.encode())} bytes"
        title = f"Body, {size}" if ping.hidden else f"Exact body, {size}"
        body = element("pre", element("code", ping.body), tabindex="0", role="region", aria_label="Body of the ping")
        yield _details("ping-body", title, body, note)


def _field_change(change: FieldChange) -> Markup:
    return element(
        "li",
        element("code", breakable(change.field)),
        " ",
        element("span", element("del", _value(change.before)), " → ", element("ins", _value(change.now))),
    )


def _value(value: str | int | bool | None) -> str:
    if value is None:
        return "absent"
    return str(value).lower() if isinstance(value, bool) else str(value) or "empty"


def _platform(document: StatusDocument) -> Markup:
    platform = document.platform
    completed = {None: "unknown", True: "completed", False: "not completed yet"}[platform.initialised]
    items: list[tuple[str, Content]] = [
        ("FlowFuse", platform.flowfuse_version or "unknown"),
        ("Node.js", platform.nodejs_version or "unknown"),
        ("Driver", platform.driver),
        (facts.INITIALISED.title, completed),
    ]
    strips = [_strip("Database", platform.database_up, platform.database_day, document)]
    if platform.http_up is not None:
        strips.append(_strip("FlowFuse over HTTP", platform.http_up, platform.http_day, document))
    return _section("platform", "Platform", element("ul", *strips, class_="strips"), _list_of_facts(items))


def _strip(title: str, up: bool, day: Sequence[float | None], document: StatusDocument) -> Markup:
    state = "answers" if up else "does not answer"
    return element(
        "li",
        element("h3", title, class_="name"),
        element("strong", state, class_="good" if up else "bad"),
        curves.strip(day, f"{title} {_span(document)}"),
    )


def _outputs(outputs: Sequence[Output], documents: str | None) -> Markup:
    return _section("outputs", "Outputs", element("ul", *(_output(each, documents) for each in outputs)))


def _output(output: Output, documents: str | None) -> Markup:
    name, last = further.document_of(output.name), None
    title = (
        output.title if documents is None or name is None else element("a", output.title, href=f"{documents}/{name}")
    )
    if output.state is not OutputState.OFF:
        last = element("p", output.last, " · " if output.last_at else None, moment(output.last_at), class_="last")
    badge = element("span", output.state, class_=f"badge {output.state}")
    return element("li", badge, element("div", element("h3", title), element("p", prose(output.reason)), last))


def _egress(contacts: Sequence[Contact], documents: str | None) -> Markup:
    """Each party's hosts, folded away."""
    parties = dict.fromkeys(contact.by for contact in contacts)
    lists = []
    for party in parties:
        items = [_contact(contact) for contact in contacts if contact.by is party]
        hosts = {contact.place for contact in contacts if contact.by is party and contact.place is not None}
        places = f"{len(hosts)} host{'s' if len(hosts) != 1 else ''}" if hosts else f"{len(items)} reasons"
        identity = f"egress-{party.lower().replace(' ', '-')}"
        lists.append(_details(identity, f"By {party}: {places}", element("ul", *items, class_="fields")))
    about = _about("what leaves", documents, "egress")
    return _section("egress", "What leaves the building", *lists or [element("p", "Nothing.")], about)


def _contact(contact: Contact) -> Markup:
    via = f", the proxy to {contact.receiver}" if contact.receiver else ""
    place = join(" ", element("code", contact.place), via) if contact.place else None
    when = element("p", f"Only {contact.condition}.") if contact.condition else None
    stop = element("p", "To stop it: ", prose(contact.stop), ".")
    return element("li", element("strong", contact.why), place, element("p", f"Data: {contact.data}."), when, stop)


def _changes(changes: Sequence[Change]) -> Markup:
    items = [
        element(
            "li",
            element("time", f"{change.at.astimezone(UTC):%Y-%m-%d %H:%M}", datetime=rfc3339(change.at)),
            element("span", element("span", _CHANGE_WORDS[change.kind], class_="unseen"), prose(change.text)),
            class_=change.kind,
        )
        for change in changes
    ]
    content = (
        element("ol", *items, reversed=True, tabindex="0", aria_label="Changes")
        if items
        else element("p", "Nothing has changed.")
    )
    return _section("changes", "Changes in the last day (UTC)", content)


def _links(links: Sequence[Link], root: str) -> Markup:
    items = [
        element("li", element("h3", element("a", link.title, href=root + link.path)), element("p", link.about))
        for link in links
    ]
    return _section("links", "Look further", element("ul", *items))


def _footer(document: StatusDocument) -> Markup:
    taken_at = moment(document.taken_at)
    if document.read_seconds is None:
        return element("footer", "Nothing could be read from the platform at ", taken_at, ".")
    milliseconds = document.read_seconds * 1000
    took = f"{milliseconds:.0f} ms" if milliseconds >= 1 else "less than 1 ms"
    return element("footer", "Read from the platform at ", taken_at, f" in {took}.")


def _section(name: str, title: str, *children: Content, class_: str = "", quiet: bool = False) -> Markup:
    heading = element("h2", title, id=f"{name}-title", class_="unseen" if quiet else None)
    classes = f"{name} {class_}".strip()
    return element("section", heading, *children, class_=classes, aria_labelledby=f"{name}-title")


def _details(name: str, title: str, *children: Content) -> Markup:
    return element("details", element("summary", title), *children, id=name)


def _list_of_facts(items: Iterable[tuple[str, Content]]) -> Markup:
    return element(
        "dl", *(element("div", element("dt", name), element("dd", value)) for name, value in items), class_="facts"
    )


def _span(document: StatusDocument) -> str:
    """The time that the curves cover, in words."""
    start = document.history.start
    if start is None:
        return "now"
    hours = (document.taken_at - start).total_seconds() / 3600
    return "over the last day" if hours >= 23.5 else f"since {start:%H:%M} UTC"
