"""Recipe slapcluster:template."""

from __future__ import annotations

import pytest
from zc.buildout import UserError

from slapgrid.recipe.template import Recipe
from tests.unit.recipe.sections import a_buildout


def build_recipe(tmp_path, **options):
    """A recipe that writes ``out/file`` and has a section [a] with b = $$5 to name."""
    output = tmp_path / "out" / "file"
    options = {"recipe": "slapcluster:template", "output": str(output), **options}
    buildout = a_buildout(tmp_path, a={"b": "$$5"}, file=options)
    return Recipe(buildout, "file", options), output, options


def test_a_file_is_rendered_with_the_options_of_other_sections(tmp_path):
    """References are replaced and doubled dollar signs are single ones."""
    source = tmp_path / "source"
    source.write_text("${a:b} $${a:b} ${:mode}\n")
    recipe, output, _ = build_recipe(tmp_path, input=str(source), mode="0640")

    assert recipe.install() == [str(output)]
    assert output.read_text() == "$5 ${a:b} 0640\n"
    assert output.stat().st_mode & 0o777 == 0o640


def test_content_is_written_as_buildout_substituted_it(tmp_path):
    """A ``${`` in it came from a parameter, and is not looked up."""
    recipe, output, _ = build_recipe(tmp_path, content="\n#!/bin/sh\necho $${a:b}\n")
    recipe.install()
    assert output.read_text() == "#!/bin/sh\necho ${a:b}\n"


def test_an_unchanged_file_is_left_alone(tmp_path):
    """A second pass does not even touch it."""
    recipe, output, _ = build_recipe(tmp_path, content="same")
    recipe.install()
    before = output.stat()
    recipe.update()
    after = output.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_lost_file_comes_back_with_the_next_pass(tmp_path):
    """Buildout calls update when no option changed."""
    recipe, output, _ = build_recipe(tmp_path, content="same")
    recipe.install()
    output.unlink()
    recipe.update()
    assert output.read_text() == "same\n"


def test_another_text_is_another_option_so_buildout_installs_again(tmp_path):
    """The text of an input file is no option, its digest is."""
    source = tmp_path / "source"
    digests = []
    for text in ("one", "two", "two"):
        source.write_text(text)
        _, _, options = build_recipe(tmp_path, input=str(source))
        digests.append(options["content-sha256"])
    assert digests[0] != digests[1] == digests[2]


def test_a_name_with_a_digest_is_another_one_when_the_content_is(tmp_path):
    """And the same for the same content; other sections see the name."""
    output = str(tmp_path / "run-{digest}")
    paths = []
    for content in ("one", "two", "two"):
        recipe, _, options = build_recipe(tmp_path, content=content, output=output)
        paths += recipe.install()
        assert options["output"] == paths[-1]
    assert paths[0] != paths[1] == paths[2]
    assert sorted(map(str, tmp_path.iterdir())) == sorted(set(paths))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "option input: give either input or content"),
        ({"input": "x", "content": "y"}, "option input: give either"),
        ({"content": "y", "mode": "rw"}, "option mode: 'rw' is no octal number"),
        ({"content": "y", "mode": "7777"}, "option mode: '7777' is no octal"),
        ({"content": "y", "output": "out"}, "option output: 'out' is not absolute"),
        ({"input": "/does/not/exist"}, "option input: /does/not/exist: "),
    ],
)
def test_a_wrong_option_is_refused_by_name_before_anything_is_written(
    tmp_path, options, sentence
):
    """The error names section and option."""
    with pytest.raises(UserError) as caught:
        build_recipe(tmp_path, **options)
    assert str(caught.value).startswith(f"section [file], {sentence}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"\xff", b"${wrong}", b"x" * (4 * 1024 * 1024 + 1)]
)
def test_an_input_that_is_no_template_is_refused(tmp_path, content):
    """Bytes that are no text, wrong references and files beyond the limit."""
    source = tmp_path / "source"
    source.write_bytes(content)
    with pytest.raises(UserError, match="option input: "):
        build_recipe(tmp_path, input=str(source))
