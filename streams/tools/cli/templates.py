"""`ritorno templates`: look at the mails before customers do."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.messages.plurals import several
from streams.tools.cli.console import (
    LANGUAGE,
    OUTPUT,
    CommandFailed,
    JsonFlag,
    UserError,
    print_json,
    say,
    settings_of,
    stdout,
)

Directory = Annotated[
    Path | None, typer.Argument(metavar="[DIR]", help="Default: RITORNO_WORKFLOWS_DIR.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this group."""
    group = typer.Typer(help="Mail templates.", no_args_is_help=True)
    group.command("list")(list_templates)
    group.command("lint")(lint_templates)
    group.command("preview")(preview)
    app.add_typer(group, name="templates")


def list_templates(
    context: typer.Context, directory: Directory = None, as_json: JsonFlag = False
) -> None:
    """Say which mails there are: languages, class, what they can't do without."""
    opened = _TemplateDirectory(context, directory)
    rows = [opened.row(name) for name in sorted(opened.renderer.templates)]
    if as_json:
        for row in rows:
            print_json(row)
        return
    for row in rows:
        classes = ", ".join(row["classes"]) or "sent by no workflow"
        needs = f"  needs {', '.join(row['needs'])}" if row["needs"] else ""
        stdout().print(f"{row['name']:28} {' '.join(row['languages']):8} {classes}{needs}")


def lint_templates(
    context: typer.Context, directory: Directory = None, as_json: JsonFlag = False
) -> None:
    """Say what is wrong with the mails of DIR; warnings are no failure."""
    from agents.mail.templates.lint import lint  # noqa: PLC0415  # see streams/tools/cli/__init__.py

    opened = _TemplateDirectory(context, directory)
    findings = lint(opened.renderer, opened.shop, opened.uses)
    errors = sum(finding.level == "error" for finding in findings)
    if as_json:
        for finding in findings:
            print_json(finding._asdict())
    else:
        for finding in findings:
            text = f"{finding.file}: {finding.level}: {finding.message} ({finding.rule})"
            stdout().print(text, markup=False, soft_wrap=True)
    if errors:
        raise CommandFailed(f"{several(errors, 'error')} among {several(len(findings), 'finding')}")
    if not as_json:
        warnings = f", {several(len(findings), 'warning')}" if findings else ""
        stdout().print(f"{several(len(opened.renderer.pages), 'mail')}: all right{warnings}.")


def preview(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="TEMPLATE", help="See `templates list`.")],
    directory: Directory = None,
    locale: Annotated[str, typer.Option(*LANGUAGE, "--locale", help="Of the mail.")] = "it",
    out: Annotated[
        Path | None, typer.Option(*OUTPUT, help="Where to write; default TEMPLATE.LANGUAGE.html.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Variables over the sample's: a JSON object or its file.")
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    text: Annotated[bool, typer.Option("--text", help="Print the text part too.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Write TEMPLATE with sample data as a page, to be looked at."""
    from agents.mail.message.render import RenderError  # noqa: PLC0415  # as above
    from agents.mail.templates.sample import FULL, with_pictures  # noqa: PLC0415
    from streams.mail.previews import Samples  # noqa: PLC0415

    opened = _TemplateDirectory(context, directory)
    uses = opened.uses.get(name)
    given = Samples(opened.definitions).fill(uses[0].variables) if uses else {}
    try:
        rendered = opened.renderer.render(
            name, locale, {**FULL, **given, **_variables(data), "shop": opened.shop}
        )
    except RenderError as error:
        raise UserError(str(error)) from None
    path = out or Path(f"{name}.{rendered.locale}.html")
    try:
        path.write_text(with_pictures(rendered.html), encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"--out: {error}") from None
    if as_json:
        found = {"mail": name, "language": rendered.locale, "file": str(path)}
        print_json({**found, "subject": rendered.subject, "text": rendered.text})
    else:
        parts = [f"{rendered.subject}\n{path}", *([f"\n{rendered.text}"] if text else [])]
        stdout().print("\n".join(parts), markup=False, soft_wrap=True)
    if show and not webbrowser.open(path.resolve().as_uri()):
        say("no browser could be opened")


def _variables(data: str | None) -> dict[str, Any]:
    if data is None:
        return {}
    try:
        source = data if data.lstrip().startswith("{") else Path(data).read_text(encoding="utf-8")
        value = json.loads(source)
    except RecursionError:
        raise UserError("--data: nested too deeply") from None
    except (OSError, ValueError) as error:
        raise UserError(f"--data: {error}") from None
    if not isinstance(value, dict):
        raise UserError("--data: must be a JSON object of variables")
    return value


class _TemplateDirectory:
    """The templates of a directory, and the workflows beside them."""

    def __init__(self, context: typer.Context, directory: Path | None) -> None:
        from agents.mail.message.render import TemplateProblem  # noqa: PLC0415  # as above
        from streams.mail.templates import load_renderer, uses_of  # noqa: PLC0415
        from streams.runtime.definitions import read_files  # noqa: PLC0415
        from streams.runtime.factories import shop_of  # noqa: PLC0415

        settings = settings_of(context)
        directory = directory or settings.workflows_dir
        self.shop = shop_of(settings)
        try:
            self.renderer = load_renderer(directory, settings.shop_locale)
        except TemplateProblem as error:
            raise UserError(str(error)) from None
        self.definitions = read_files(directory, everything=True).values()
        self.uses = uses_of(self.definitions)

    def row(self, name: str) -> dict[str, Any]:
        """Return what is to be said of one mail."""
        from agents.mail.templates.lint import SampleMail  # noqa: PLC0415  # as above

        languages = sorted(language for mail, language in self.renderer.pages if mail == name)
        uses = self.uses.get(name, [])
        given = uses[0].variables if uses else {}
        needs = [
            SampleMail(self.renderer, self.shop, name, one, given).needs() for one in languages
        ]
        return {
            "name": name,
            "languages": languages,
            "classes": sorted({use.mail_class for use in uses}),
            "needs": sorted({about for found in needs for about in found}),
        }
