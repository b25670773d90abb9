"""What an exposition holds, as prometheus_client's own parsers and promtool read it."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from ff_observe.catalogue import PLATFORM, SELF
from ff_observe.catalogue.bridge import PING_BYTES, PINGS, SNAPSHOT_DURATION, SNAPSHOT_TIMESTAMP
from ff_observe.catalogue.model import Kind, Reading
from ff_observe.exposition.formats import Format, encode, encode_one
from ff_observe.outputs.prometheus import Renderer, render
from ff_observe.platform.snapshot import Snapshot
from ff_observe.telemetry.self_metrics import SelfMetrics
from tests import openmetrics_2
from tests.real_parts import prometheus
from tests.unit.web.platforms import HOSTILE, MOMENT, READINGS, snapshot

PARSERS: dict[Format, Callable[[str], Iterable[Family]]] = {
    Format.TEXT_0_0_4: parse_text,
    Format.TEXT_1_0_0: parse_text,
    Format.OPENMETRICS_1_0_0: parse_openmetrics,
    Format.OPENMETRICS_2_0_0: openmetrics_2.families,
}
EVERYTHING: Mapping[str, Reading] = {
    metric.name: {tuple(f"{label}-value" for label in metric.labels): 1 if metric.kind is Kind.INFO else number + 0.5}
    for number, metric in enumerate((*PLATFORM, *SELF))
}


def exposition(of: Snapshot, exposition_format: Format = Format.TEXT_0_0_4) -> str:
    return render(of, SelfMetrics().readings(), exposition_format).decode("utf-8")


def samples(text: str, exposition_format: Format) -> dict[str, dict[tuple[str, ...], float]]:
    """Samples by name and label values, as the library's parser reads them."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in PARSERS[exposition_format](text):
        for sample in family.samples:
            assert sample.timestamp is None
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


@pytest.mark.parametrize("exposition_format", Format)
def test_every_reading_is_shown_in_every_format(exposition_format: Format) -> None:
    found = samples(exposition(snapshot(), exposition_format), exposition_format)
    for name, reading in READINGS.items():
        if name == "flowfuse_platform_info":  # labels are sorted by name
            assert found[name] == {("docker", "", "2.33.2"): 1.0}
        else:
            assert found[name] == reading


@pytest.mark.parametrize("exposition_format", Format)
def test_every_family_has_help_and_type(exposition_format: Format) -> None:
    text = render(snapshot(EVERYTHING), EVERYTHING, exposition_format).decode()
    of_family = {family.name: family for family in PARSERS[exposition_format](text)}
    for metric in (*PLATFORM, *SELF):
        in_openmetrics = exposition_format.is_openmetrics
        suffix = {Kind.COUNTER: "_total", Kind.INFO: "_info" if in_openmetrics else ""}.get(metric.kind, "")
        family = of_family[metric.name.removesuffix(suffix)]
        assert family.documentation == metric.help
        assert family.type == (Kind.GAUGE if metric.kind is Kind.INFO and not in_openmetrics else metric.kind)
        assert len(family.samples) >= 1


def test_families_come_in_the_order_of_the_catalogue() -> None:
    text = render(snapshot(EVERYTHING), EVERYTHING, Format.TEXT_0_0_4).decode()
    types = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")]
    assert types == [metric.name for metric in (*PLATFORM, *SELF)]


def test_openmetrics_tells_units_where_the_name_ends_with_them() -> None:
    text = render(snapshot(EVERYTHING), EVERYTHING, Format.OPENMETRICS_1_0_0).decode()
    units = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# UNIT ")}
    assert units["flowfuse_license_expiry_timestamp_seconds"] == "seconds"
    assert units["ff_observe_ping_sent_bytes"] == "bytes"
    assert units["process_resident_memory_bytes"] == "bytes"
    assert "flowfuse_users" not in units


def test_openmetrics_ends_with_eof_and_text_does_not() -> None:
    assert exposition(snapshot(), Format.OPENMETRICS_1_0_0).endswith("\n# EOF\n")
    assert exposition(snapshot(), Format.OPENMETRICS_2_0_0).endswith("\n# EOF\n")
    assert "# EOF" not in exposition(snapshot(), Format.TEXT_0_0_4)


def test_both_openmetrics_say_the_same() -> None:
    """Names, types, units, help, values and the starts of counters."""
    moment = replace(snapshot({**EVERYTHING, "flowfuse_teams_by_type": {(HOSTILE,): 1e21}}), counted_since=MOMENT)
    own = SelfMetrics().readings()
    in_1, in_2 = (
        [*PARSERS[form](render(moment, own, form).decode())]
        for form in (Format.OPENMETRICS_1_0_0, Format.OPENMETRICS_2_0_0)
    )
    assert in_2 == in_1
    assert any(sample.name.endswith("_created") for family in in_2 for sample in family.samples)


def test_openmetrics_2_is_spelled_as_its_specification_does() -> None:
    """The examples of "Counter", "Info" and "Histogram with Classic Buckets", with our spelling of numbers."""
    counter = CounterMetricFamily("foo_seconds", 'Some text and \n some " escaping', unit="seconds")
    counter.add_metric([], 17.0, created=1520430000.123)
    info = InfoMetricFamily("foo", "Things", labels=["entity"])
    info.add_metric(["controller"], {"name": "pretty name", "version": "8.2.7"})
    histogram = HistogramMetricFamily("foo", "Sizes", [("0.0", 0), ("1e-05", 0), ("+Inf", 17)], 324789.3)
    assert encode([counter, info, histogram], Format.OPENMETRICS_2_0_0).decode() == (
        "# TYPE foo_seconds_total counter\n# UNIT foo_seconds_total seconds\n"
        '# HELP foo_seconds_total Some text and \\n some \\" escaping\nfoo_seconds_total 17.0 st@1520430000.123\n'
        "# TYPE foo_info info\n# HELP foo_info Things\n"
        'foo_info{entity="controller",name="pretty name",version="8.2.7"} 1.0\n'
        "# TYPE foo histogram\n# HELP foo Sizes\n"
        "foo {count:17.0,sum:324789.3,bucket:[0.0:0.0,1e-05:0.0,+Inf:17.0]}\n# EOF\n"
    )


def test_a_metric_without_a_reading_is_absent() -> None:
    text = exposition(snapshot({"flowfuse_up": {(): 0.0}, "flowfuse_devices_by_mode": {}}, up=False))
    assert "flowfuse_up 0.0\n" in text
    assert "flowfuse_users" not in text
    assert "flowfuse_devices_by_mode" not in text


@pytest.mark.parametrize(
    "bad",
    [{("one label too many",): 1.0}, {(): "seven"}, {(): None}, {(3,): 1.0}],
    ids=["labels", "text", "nothing", "number"],
)
def test_a_reading_that_cannot_be_shown_does_not_take_the_others_down(
    bad: Reading, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        text = exposition(snapshot({**READINGS, "flowfuse_users": bad}))
    assert "flowfuse_users" not in text
    assert "flowfuse_up 1.0\n" in text
    assert "flowfuse_users cannot be shown" in caplog.text


def test_the_time_told_is_that_of_the_snapshot_shown_and_not_of_a_newer_one() -> None:
    metrics = SelfMetrics()
    metrics.set(SNAPSHOT_TIMESTAMP, MOMENT.timestamp() + 60)
    metrics.set(SNAPSHOT_DURATION, 9.0)
    found = samples(render(snapshot(), metrics.readings(), Format.TEXT_0_0_4).decode(), Format.TEXT_0_0_4)
    assert found["ff_observe_snapshot_timestamp_seconds"] == {(): MOMENT.timestamp()}
    assert found["ff_observe_snapshot_duration_seconds"] == {(): 0.012}


def test_the_bridges_own_counters_exist_from_the_start_and_grow() -> None:
    metrics = SelfMetrics()
    metrics.add(PINGS, "delivered")
    metrics.add(PING_BYTES, amount=1024)
    found = samples(render(snapshot(), metrics.readings(), Format.OPENMETRICS_1_0_0).decode(), Format.OPENMETRICS_1_0_0)
    assert found["ff_observe_pings_total"] == {("delivered",): 1.0, ("rejected",): 0.0, ("failed",): 0.0}
    assert found["ff_observe_ping_sent_bytes_total"] == {(): 1024.0}
    started = found["process_start_time_seconds"]
    assert found["ff_observe_ping_sent_bytes_created"] == found["process_cpu_seconds_created"] == started
    assert found["ff_observe_pings_created"] == dict.fromkeys(found["ff_observe_pings_total"], started[()])


def test_the_counters_of_the_audit_log_began_with_its_first_entry() -> None:
    readings: Mapping[str, Reading] = {"flowfuse_sign_ins_total": {("success",): 4.0, ("failure",): 0.0}}
    began = replace(snapshot(readings), counted_since=MOMENT)
    text = render(began, {}, Format.OPENMETRICS_1_0_0).decode()
    assert samples(text, Format.OPENMETRICS_1_0_0)["flowfuse_sign_ins_created"] == {
        ("success",): MOMENT.timestamp(),
        ("failure",): MOMENT.timestamp(),
    }


@pytest.mark.parametrize("exposition_format", [Format.TEXT_0_0_4, Format.TEXT_1_0_0])
def test_the_text_format_says_nothing_of_when_counters_began(exposition_format: Format) -> None:
    began = replace(snapshot(EVERYTHING), counted_since=MOMENT)
    assert "_created" not in render(began, SelfMetrics().readings(), exposition_format).decode()


@pytest.mark.parametrize("exposition_format", Format)
@given(values=st.sets(st.text(max_size=40).filter(bool), min_size=1, max_size=5))
def test_any_label_value_survives(exposition_format: Format, values: set[str]) -> None:
    reading: Reading = {(value,): float(number) for number, value in enumerate(sorted(values))}
    text = exposition(snapshot({"flowfuse_teams_by_type": reading}), exposition_format)
    assert samples(text, exposition_format)["flowfuse_teams_by_type"] == reading


def test_a_broken_character_is_replaced_and_takes_nothing_down() -> None:
    text = exposition(snapshot({**READINGS, "flowfuse_teams_by_type": {("br\udcffken",): 4.0}}))
    assert 'flowfuse_teams_by_type{team_type="br?ken"} 4.0\n' in text


def test_promtool_finds_nothing_to_say() -> None:
    if prometheus.PROMTOOL is None:
        pytest.skip(prometheus.MISSING)
    readings: Mapping[str, Reading] = {**EVERYTHING, "flowfuse_teams_by_type": {(HOSTILE,): 1.0}}
    assert prometheus.lint(render(snapshot(readings), readings, Format.TEXT_0_0_4)) == ""


FEW = sorted(EVERYTHING)[::12]


@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from(FEW), st.sampled_from([0.0, 1.0])),
            st.sampled_from(Format),
            st.sampled_from([None, "0123456789abcdef", "fedcba9876543210"]),
            st.sampled_from([None, MOMENT]),
        ),
        max_size=5,
    )
)
def test_what_was_rendered_before_leaves_no_trace(
    moments: list[tuple[dict[str, float], Format, str | None, datetime | None]],
) -> None:
    renderer = Renderer()
    for values, exposition_format, platform_id, since in moments:
        readings = {name: dict.fromkeys(EVERYTHING[name], value) for name, value in values.items()}
        moment = replace(snapshot(), readings=readings, platform_id=platform_id, counted_since=since)
        assert renderer.render(moment, {}, exposition_format) == render(moment, {}, exposition_format)


@pytest.mark.parametrize("exposition_format", Format)
def test_only_what_changed_is_encoded_again(exposition_format: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []

    def encode(family: Family, form: Format) -> bytes:
        encoded.append(family.name)
        return encode_one(family, form)

    monkeypatch.setattr("ff_observe.outputs.prometheus.encode_one", encode)
    renderer = Renderer()
    renderer.render(snapshot(), EVERYTHING, exposition_format)
    assert encoded
    encoded.clear()
    renderer.render(snapshot(), {**EVERYTHING, PING_BYTES.name: {(): 7.0}}, exposition_format)
    assert encoded == [PING_BYTES.name.removesuffix("_total")]
