"""`<%= ENV['NAME'] %>`: rendered as the Helm chart does, without a value ever changing the structure unnoticed."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ff_observe.config.erb import ERBError, parse_template
from ff_observe.config.nodes import Map, Node, Place, Scalar, Sequence, find
from ff_observe.config.yaml_core import YAMLError, parse


def value(text: str, variables: dict[str, str]) -> object:
    node = find(parse_template(text, variables), "a")
    assert isinstance(node, Scalar)
    return node.value


def refused(text: str, variables: dict[str, str]) -> list[tuple[Place, str]]:
    with pytest.raises(ERBError) as caught:
        parse_template(text, variables)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    "tag", ["<%= ENV['N'] %>", '<%= ENV["N"] %>', "<%=ENV['N']%>", "<%=  ENV [ 'N' ]  %>", "<%=\tENV['N']\t%>"]
)
def test_every_way_to_space_and_quote_the_tag_is_understood(tag: str) -> None:
    assert value(f"a: {tag}", {"N": "x"}) == "x"


@pytest.mark.parametrize(
    ("rendered", "expected"),
    [("5432", 5432), ("false", False), ("no", "no"), ("", None), ("a#b:c", "a#b:c"), ("secret\n", "secret")],
)
def test_an_unquoted_value_has_the_type_that_flowfuse_reads(rendered: str, expected: object) -> None:
    assert value("a: <%= ENV['N'] %>", {"N": rendered}) == expected


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_quoted_value_is_a_string_whatever_it_holds(quote: str) -> None:
    assert value(f"a: {quote}<%= ENV['N'] %>{quote}", {"N": "12 #: [x]"}) == "12 #: [x]"


def test_a_value_may_be_part_of_a_text_and_there_may_be_several() -> None:
    text = "a: http://<%= ENV['USER'] %>:<%= ENV['PASS'] %>@host/"
    assert value(text, {"USER": "u", "PASS": "p"}) == "http://u:p@host/"


def test_a_value_in_a_block_is_part_of_it() -> None:
    assert value("a: |\n  <%= ENV['N'] %>\nb: 1", {"N": "x"}) == "x\n"


def test_places_are_those_of_the_file_not_of_the_rendered_text() -> None:
    tree = parse_template("a: [<%= ENV['N'] %>, b]\nc: <%= ENV['N'] %> # x\nd: 1", {"N": "a-much-longer-value" * 9})
    assert isinstance(tree, Map)
    assert tree.entries["d"].place == Place(3, 1)
    after = tree.entries["a"].value
    assert after.items[1].place == Place(1, 22)  # type: ignore[union-attr]  # a list, as written


def test_rendered_values_are_marked_so_that_no_message_shows_them() -> None:
    tree = parse_template("a: <%= ENV['N'] %>\nb: x", {"N": "x"})
    marks = [node.rendered for name in "ab" if isinstance(node := find(tree, name), Scalar)]
    assert marks == [True, False]


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("a: <%= ENV['N'] %>", "x\nadmin: true"),
        ("a: <%= ENV['N'] %>", "x #y"),
        ("a: <%= ENV['N'] %>", "x: y"),
        ("a: <%= ENV['N'] %>", "'x'"),
        ("a: <%= ENV['N'] %>", "[x]"),
        ("a: <%= ENV['N'] %>", "&x"),
        ("a: <%= ENV['N'] %>", "@x"),
        ("a: <%= ENV['N'] %>", "|"),
        ("a: <%= ENV['N'] %>", "x\udcff"),
        ("a: '<%= ENV['N'] %>'", "it's"),
        ("a: '<%= ENV['N'] %>'", "it''s"),
        ('a: "<%= ENV["N"] %>"', 'x", b: "y'),
        ('a: "<%= ENV["N"] %>"', "back\\tslash"),
        ("# <%= ENV['N'] %>\na: 1", "x\nadmin: true"),
        ("a: 1 # <%= ENV['N'] %>", "x\nadmin: true"),
        ("a: [<%= ENV['N'] %>]", "x, y"),
        ("a: {k: <%= ENV['N'] %>}", "x}\nb: {k: y"),
        ("a: <%= ENV['N'] %>", "\ue000\ue010"),
    ],
)
def test_a_value_that_would_change_what_the_file_says_is_refused(text: str, rendered: str) -> None:
    ((_, message),) = refused(text, {"N": rendered})
    assert "N" in message
    assert rendered not in message


def test_only_the_variable_that_breaks_the_file_is_named() -> None:
    ((place, message),) = refused("a: <%= ENV['GOOD'] %>\nb: <%= ENV['BAD'] %>", {"GOOD": "x", "BAD": "x: y"})
    assert place == Place(2, 4)
    assert "BAD" in message


def test_the_first_five_variables_that_break_the_file_are_named_each_at_its_place() -> None:
    lines = [f"k{number}: <%= ENV['{'BAD' if number % 3 else 'GOOD'}'] %>" for number in range(20)]
    problems = refused("\n".join(lines), {"GOOD": "x", "BAD": "x: y"})
    assert [place.line for place, _ in problems] == [2, 3, 5, 6, 8]


def test_variables_that_break_the_file_only_together_are_told_by_the_last_of_them() -> None:
    ((place, _),) = refused("a: <%= ENV['N'] %> <%= ENV['M'] %>", {"N": "x", "M": "#y"})
    assert place == Place(1, 20)


def test_an_unset_variable_matters_where_it_is_used_and_not_in_a_comment() -> None:
    assert value("a: 1 # <%= ENV['N'] %>\n# <%= ENV['M'] %>", {}) == 1
    tree = parse_template("a: <%= ENV['N'] %>\nb: [x, <%= ENV['M'] %>]\nc: x", {})
    assert [unset(find(tree, name)) for name in "ac"] == ["N", None]
    items = find(tree, "b")
    assert isinstance(items, Sequence)
    assert [(item.place, unset(item)) for item in items.items] == [(Place(2, 5), None), (Place(2, 8), "M")]


def unset(node: Node | None) -> str | None:
    assert isinstance(node, Scalar)
    return node.unset


@pytest.mark.parametrize(
    "text",
    [
        "a: <%= ENV['N'] %>'x\nb: 1\nc: 'y'",  # rendered, a quote begins that ends two lines below
        "a:\n  k: x\n  <%= ENV['N'] %>&m n\nb: 1",
        "<%= ENV['N'] %>: 1",
    ],
)
def test_an_unset_variable_without_which_the_rest_reads_differently_is_refused(text: str) -> None:
    with pytest.raises((ERBError, YAMLError)):
        parse_template(text, {})


@pytest.mark.parametrize(
    "tag",
    ["<% x %>", "<%# x %>", "<%= ENV.fetch('N') %>", "<%= ENV['N'] || 'x' %>", "<%= ENV['N'] -%>", "<%- x %>", "<%%",
     "<%= ENV[N] %>", "<%= ENV['N\"] %>", "<%= ENV['N'", "<%= ENV['a b'] %>", "<%= `id` %>"],
)  # fmt: skip
def test_any_other_erb_is_refused_also_in_a_comment(tag: str) -> None:
    for text, column in ((f"a: {tag}", 4), (f"# {tag}", 3)):
        ((place, message),) = refused(text, {"N": "x"})
        assert place == Place(1, column)
        assert "<%= ENV['NAME'] %>" in message


def test_two_hundred_tags_are_read_and_more_are_not() -> None:
    lines = [f"k{number}: <%= ENV['N'] %>" for number in range(201)]
    assert parse_template("\n".join(lines[:200]), {"N": "x"}) is not None
    assert "200" in refused("\n".join(lines), {"N": "x"})[0][1]


_TEMPLATES = st.sampled_from(
    [
        "a: <%= ENV['N'] %>\nb: 2\n",
        "a: '<%= ENV['N'] %>'\nb: 2\n",
        'a: "<%= ENV["N"] %>"\nb: 2\n',
        "a: |\n  <%= ENV['N'] %>\nb: 2\n",
        "# <%= ENV['N'] %>\na: 1\nb: 2\n",
        "a: [1, <%= ENV['N'] %>]\nb: 2\n",
    ]
)


@given(_TEMPLATES, st.text(max_size=30) | st.text("ab:#'\"\\\n [],{}&*!|>%@", max_size=12))
@example("a: '<%= ENV['N'] %>'\nb: 2\n", "''")
def test_no_value_changes_the_keys_or_reads_differently_from_what_flowfuse_reads(template: str, secret: str) -> None:
    tag = template[template.index("<") : template.rindex(">") + 1]
    try:
        ours = parse_template(template, {"N": secret})
    except (ERBError, YAMLError):
        return
    assert isinstance(ours, Map)
    assert list(ours.entries) == ["a", "b"]
    theirs = parse(template.replace(tag, secret))
    assert isinstance(theirs, Map)
    assert repr(_values(ours)) == repr(_values(theirs))


def _values(tree: Map) -> list[object]:
    found: list[object] = []
    for entry in tree.entries.values():
        node = entry.value
        if isinstance(node, Scalar):
            found.append(node.value)
        elif not isinstance(node, Map):
            found.append([item.value for item in node.items if isinstance(item, Scalar)])
    return found
