"""Pages of the site that are written elsewhere, recipes, examples, docstrings and defaults, and links to them."""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from mmspec.cli import VERBS

ROOT = Path(__file__).parents[1]
CONF = ROOT / "mmspec" / "conf"
MARK = "# mmspec"  # ends a line that an example owes to mmspec
PACKAGES = {  # of the public surface -> page
    "mmspec": "api.md",
    "mmspec.losses": "api/losses.md",
    "mmspec.losses.weighting": "api/weighting.md",
    "mmspec.spectral": "api/spectral.md",
    "mmspec.networks": "api/networks.md",
    "mmspec.diffusion": "api/diffusion.md",
    "mmspec.diffusion.processes": "api/processes.md",
    "mmspec.diffusion.samplers": "api/samplers.md",
    "mmspec.data": "api/data.md",
    "mmspec.metrics.measure": "api/measures.md",
    "mmspec.pretrained": "api/pretrained.md",
    "mmspec.report.card": "api/card.md",
    "mmspec.errors": "api/errors.md",
}
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!\w+:|#)([^)#\s]+)(#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are no files of docs/."""
    for uri, text in generated():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to files of the repository lead to their pages; those that have none are left as words."""
    home, here = posixpath.dirname(source_of(page.file.src_uri)), posixpath.dirname(page.file.src_uri)

    def rewritten(match: re.Match[str]) -> str:
        words, target, anchor = match[1], match[2], match[3] or ""
        path = posixpath.normpath(posixpath.join(home, target))
        if not (ROOT / path).exists():
            return match[0]  # which mkdocs refuses by name
        uri = page_of(path)
        if uri is None:
            return words
        return f"[{words}]({posixpath.relpath(uri, here or '.')}{anchor})"

    return LINK.sub(rewritten, markdown)


def generated() -> Iterator[tuple[str, str]]:
    """Address and text of each page."""
    for file in ("CONTRIBUTING.md", "CHANGELOG.md"):
        yield file.lower(), (ROOT / file).read_text(encoding="utf-8")
    for readme in sorted(ROOT.glob("recipes/*/README.md")):
        yield f"recipes/{readme.parent.name}.md", readme.read_text(encoding="utf-8")
    for example in sorted(ROOT.glob("examples/*.py")):
        yield f"examples/{example.stem}.md", example_page(example)
    for package, uri in PACKAGES.items():
        yield uri, api_page(package)
    yield "verbs.md", verbs_page()
    yield "groups.md", groups_page()


def source_of(uri: str) -> str:
    """The file that a page is made of, from the root of the repository."""
    folder, name = posixpath.split(uri)
    if folder == "recipes":
        return f"recipes/{name.removesuffix('.md')}/README.md"
    return {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}.get(uri, f"docs/{uri}")


def page_of(path: str) -> str | None:
    """The page that shows a file of the repository."""
    for pattern, uri in (
        (r"docs/(.+\.(?:md|svg))", r"\1"),
        (r"recipes/(\w+)(?:/README\.md)?", r"recipes/\1.md"),
        (r"examples/(\w+)\.py", r"examples/\1.md"),
        (r"examples", "own_loops.md"),
        (r"(CONTRIBUTING|CHANGELOG)\.md", lambda match: match[0].lower()),
        (r"README\.md", "index.md"),
    ):
        if match := re.fullmatch(pattern, path):
            return match.expand(uri) if isinstance(uri, str) else uri(match)
    return None


def example_page(file: Path) -> str:
    """A loop, with the lines marked that mmspec adds."""
    code = file.read_text(encoding="utf-8")
    marked = [str(number) for number, line in enumerate(code.splitlines(), start=1) if line.endswith(MARK)]
    highlighted = f'```python title="examples/{file.name}" hl_lines="{" ".join(marked)}"\n{code}```\n'
    return f"# `{file.name}`\n\nThe lines that mmspec adds are marked.\n\n{highlighted}"


def api_page(package: str) -> str:
    """Docstrings of what a package offers."""
    text = f"# `{package}`\n\n::: {package}\n"
    if package == "mmspec":
        others = [f"- [`{name}`]({uri})" for name, uri in PACKAGES.items() if name != package]
        text = text.replace("`mmspec`", "Python", 1) + "\nThe packages:\n\n" + "\n".join(others) + "\n"
    return text


def verbs_page() -> str:
    """Keys and defaults of each verb."""
    parts = ["# Verbs\n\n`mmspec VERB key=value ...`; the defaults are those of the files in `mmspec/conf`.\n"]
    for verb, what in VERBS.items():
        parts.append(f"## {verb}\n\n{what[0].upper()}{what[1:]}.\n\n{_yaml(CONF / f'{verb}.yaml')}")
    return "\n".join(parts)


def groups_page() -> str:
    """The choices of each group."""
    parts = ["# Groups\n\n`GROUP=CHOICE` takes all values of a choice; `GROUP.KEY=VALUE` changes one.\n"]
    for folder in sorted(path for path in CONF.iterdir() if path.is_dir()):
        parts.append(f"## {folder.name}\n")
        for file in sorted(folder.glob("*.yaml")):
            shown = "    " + _yaml(file).replace("\n", "\n    ").rstrip()
            parts.append(f'??? note "`{folder.name}={file.stem}`"\n{shown}\n')
    return "\n".join(parts)


def _yaml(file: Path) -> str:
    return f"```yaml\n{file.read_text(encoding='utf-8').rstrip()}\n```\n"
