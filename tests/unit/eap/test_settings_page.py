"""The settings page of a package has a field for each parameter, and whatever stands in a parameter stays a text."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.unit.eap.test_package_settings import load

from incamera.eap.settings_page import NAME, dump_settings_page, find_shown
from incamera.project.loading import load_project
from incamera.workflows.package_contents import has_generated_page

NASTY = "</script><b>\"'&{{title}}<"


class Page(HTMLParser):
    """The elements of a page with their attributes, and the texts of its labels and options."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and data.strip():
            self.texts.append((self.found[-1][0], data))

    def fields(self) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag in ("input", "select")]

    def texts_of(self, tag: str) -> list[str]:
        return [text for found, text in self.texts if found == tag]


def page(**types: str) -> Page:
    parameters = [{"name": name, "default": "5", "type": kind} for name, kind in types.items()]
    return Page(dump_settings_page("My app", "my_app", parameters))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("string", {"type": "text", "value": "5"}),
        ("", {"type": "text", "value": "5"}),
        ("string:maxlen=9", {"maxlength": "9"}),
        ("int:min=-1;max=60", {"type": "number", "min": "-1", "max": "60"}),
        ("int:range=0,1024-65535", {"min": "0", "max": "65535"}),
        ("int:range=-10--5", {"min": "-10", "max": "-5"}),
        ("int:maxlen=3", {"type": "number", "maxlength": None}),
        ("password:maxlen=8", {"type": "password", "value": None, "maxlength": "8"}),
        ("writeonly:string", {"type": "password"}),
        ("readonly:string", {"type": "text", "disabled": ""}),
        ("nosync:int", {"type": "number"}),
    ],
)
def test_field_fits_the_type_of_its_parameter(kind: str, expected: dict[str, str | None]) -> None:
    (field,) = page(Speed=kind).fields()
    assert field["name"] == "root.My_app.Speed"
    assert {name: field.get(name) for name in expected} == expected


def test_choices_become_a_list_with_the_default_in_it() -> None:
    shown = page(Mode="enum:a|Nice A,5,b")
    options = [attributes for tag, attributes in shown.found if tag == "option"]
    assert [option["value"] for option in options] == ["a", "5", "b"]
    assert ["selected" in option for option in options] == [False, True, False]
    assert shown.texts_of("option") == ["Nice A", "5", "b"]
    assert [a["value"] for tag, a in page(On="bool:no,yes").found if tag == "option"] == ["no", "yes", "5"]


def test_hidden_parameters_are_not_on_the_page() -> None:
    parameters = [{"name": "A", "default": "", "type": kind} for kind in ("hidden:string", "nosync:hidden:int", "int")]
    assert [entry["type"] for entry in find_shown(parameters)] == ["int"]


@pytest.mark.parametrize("kind", ["string", f"enum:{NASTY}|{NASTY}", NASTY])
def test_whatever_stands_in_a_parameter_stays_a_text(kind: str) -> None:
    plain = Page(dump_settings_page("T", "app", [{"name": "N", "default": "D", "type": kind}]))
    data = dump_settings_page(NASTY, "app", [{"name": NASTY, "default": NASTY, "type": kind}])
    nasty = Page(data)
    tags = [tag for tag, _ in nasty.found if tag != "option"]
    assert tags == [tag for tag, _ in plain.found if tag != "option"]
    assert nasty.texts_of("h1") == [NASTY]
    assert nasty.texts_of("label") == [NASTY]
    assert nasty.fields()[0]["name"] == f"root.App.{NASTY}"


@pytest.mark.parametrize(
    ("table", "made"),
    [
        ('parameters = { A = "1" }', True),
        ('parameters = { A = { default = "1", type = "hidden:string" } }', False),
        ('vendor = "x"', False),
        ('parameters = { A = "1" }\nsettings-page = ""', False),
        ('parameters = { A = "1" }\nsettings-page = "index.html"', False),
    ],
)
def test_page_is_made_if_there_are_parameters_and_the_user_has_none(tmp_path: Path, table: str, made: bool) -> None:
    settings = load(tmp_path, table)
    assert has_generated_page(load_project(tmp_path), settings) is made
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / NAME).write_text("own")
    assert not has_generated_page(load_project(tmp_path), dataclasses.replace(settings, html="html"))
