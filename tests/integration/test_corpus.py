"""The audit against the loader: the corpus is audited, and loaded in a virtual camera of each profile."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.abi.audit import audit_path
from incamera.abi.findings import Finding, Report, Severity
from incamera.abi.policy import load_exports, load_policy, make_policy, read_document, require_generation
from incamera.connect.choose import virtual_device
from incamera.connect.connection import connected
from incamera.deployment.apply import deploy_bundle
from incamera.deployment.fit import device_policy
from incamera.device.libraries import ensure_libraries
from incamera.device.probe import probe
from incamera.project.loading import load_project
from incamera.targets.profile import require_profile
from incamera.targets.target import Target
from incamera.toolchain.plan import Compiler
from incamera.workflows.build import build_bundle

from .cameras import PROFILES
from .corpus.build import corpus_key, ensure_corpus
from .corpus.cases import Case, How, load_cases
from .corpus.stage import CASES, archive_of, equip_camera, load_cases_there, stage_bundle
from .paths import PROJECTS, REPOSITORY

if TYPE_CHECKING:
    from incamera.abi.policy import Policy
    from incamera.context import Context

    from .cameras import CameraPool


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The corpus in one virtual camera.

    `said`: for each case None if it loads, else the loader's error.
    """

    profile: str
    target: Target
    corpus: Path
    bundle: Path
    cases: dict[str, Case]
    policy: Policy
    said: dict[str, str | None]

    def judge(self, case: Case, policy: Policy | None = None) -> Report:
        """Audit a case as a file from elsewhere: in a bundle with nothing else, or started by the camera."""
        path = archive_of(self.corpus, case) or self.corpus / "cases" / case.name
        return audit_path(path, policy or self.policy, target=self.target)


# Both architectures and both generations, each once. `make test-all` runs the others, too.
CHOSEN = ("axis-os-10-armv7hf", "axis-os-11-aarch64")
# Without --all, the second gets every fourth case.
SAMPLED, STEP = CHOSEN[1], 4


@pytest.fixture(
    scope="module",
    params=[*CHOSEN, *(pytest.param(name, marks=pytest.mark.matrix) for name in PROFILES if name not in CHOSEN)],
)
def trial(
    request: pytest.FixtureRequest,
    context: Context,
    toolchain_for: Callable[[Target, str], Any],
    cameras: CameraPool,
    project_copy: Callable[[Path], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Trial:
    profile = require_profile(request.param)
    target = Target(profile.architecture)
    toolchain = toolchain_for(target, Compiler.gcc)
    corpus = ensure_corpus(toolchain, context.store)
    cases = load_cases(profile.architecture)
    if profile.name == SAMPLED and not request.config.getoption("--all"):
        cases = dict(islice(cases.items(), None, None, STEP))
    folder = tmp_path_factory.mktemp("corpus")
    bundle = build_bundle(context, load_project(project_copy(PROJECTS / "corpus")), target)
    staged, unsound = stage_bundle(bundle, corpus, cases, folder / "bundle")
    # What is cached of a camera is found by its boot id, which saved states share, and its name: so take another name.
    key = corpus_key(toolchain)
    with (
        cameras.lease(profile.name, name=f"corpus-{key[:8]}-{profile.name}") as camera,
        connected(context, virtual_device(camera)) as connection,
    ):
        session = connection.session
        equip_camera(session, corpus, profile.name)
        facts = probe(session)
        sonames = [library.soname for library in facts.libraries]
        table = ensure_libraries(session, facts, sonames, cache=context.store.root / "caches" / f"corpus-{key}")
        done = deploy_bundle(context, connection, table, staged)
        said = load_cases_there(session, done.result.root)
    return Trial(
        profile=profile.name,
        target=target,
        corpus=corpus,
        bundle=staged.path,
        cases=cases,
        policy=device_policy(facts, table, profile.architecture, name=profile.name),
        said={**said, **unsound},
    )


def test_loader_accepts_and_refuses_what_the_corpus_says(trial: Trial) -> None:
    """Otherwise the other tests would compare the audit with an error that a case was not made for."""
    unexpected = {}
    for case in trial.cases.values():
        words, said = case.words_of_refusal(trial.profile), trial.said[case.name]
        as_expected = said is None if words is None else said is not None and re.search(words, said)
        if not as_expected:
            unexpected[case.name] = said
    assert unexpected == {}


def test_audit_agrees_with_the_loader(trial: Trial) -> None:
    disagreements = {}
    for case in trial.cases.values():
        if case.needs_the_bundle or case.limit or case.rule:
            continue
        report = trial.judge(case)
        if report.compatible is not (trial.said[case.name] is None):
            disagreements[case.name] = (trial.said[case.name], [_words(error) for error in report.errors])
    assert disagreements == {}


def test_audit_by_the_stand_ins_data_agrees_with_the_loader(trial: Trial) -> None:
    """The data of data/policies, which the audit uses for profiles, are those of the virtual camera."""
    generation, architecture = require_generation(trial.profile)
    name = f"policies/{generation.stand_in}-{architecture}"
    policy = make_policy(read_document(name), name=name, architecture=architecture, exports=partial(load_exports, name))
    disagreements = {}
    for case in trial.cases.values():
        if case.needs_stand_ins or case.limit or case.rule:
            continue
        report = trial.judge(case, policy)
        if report.compatible is not (trial.said[case.name] is None):
            disagreements[case.name] = (trial.said[case.name], [_words(error) for error in report.errors])
    assert disagreements == {}


def test_audit_by_the_profile_refuses_nothing_that_loads_in_each_virtual_camera(trial: Trial) -> None:
    """AXIS OS has another glibc than the virtual cameras, so what only one of them loads is left out."""
    policy = load_policy(trial.profile)
    refused = {}
    for case in trial.cases.values():
        if case.needs_stand_ins or case.limit or any(case.words_of_refusal(profile) for profile in PROFILES):
            continue
        report = trial.judge(case, policy)
        if not report.compatible and not case.rule:
            refused[case.name] = [_words(error) for error in report.errors]
    assert refused == {}


def test_audit_gives_the_reason_for_a_refusal(trial: Trial) -> None:
    wrong = {}
    for case in trial.cases.values():
        if case.needs_the_bundle or case.limit or trial.said[case.name] is None:
            continue
        kinds = {str(error.kind) for error in trial.judge(case).errors}
        if case.finding not in kinds:
            wrong[case.name] = kinds
    assert wrong == {}


def test_audit_refuses_what_a_rule_forbids(trial: Trial) -> None:
    for case in trial.cases.values():
        if case.rule:
            assert case.finding in {str(error.kind) for error in trial.judge(case).errors}, case.name


def test_audit_of_the_whole_bundle_agrees_with_the_loader(trial: Trial) -> None:
    """All cases lie in one bundle, each beside the libraries of the others. No case that loads has an error.

    For helper programs, and for files that are not named like modules, a warning is enough, since the app may never
    use them. An .eap is left out: it is not part of a bundle.
    """
    report = audit_path(trial.bundle, trial.policy)
    wrong = {}
    for case in trial.cases.values():
        if case.limit or case.rule or case.how is How.eap or not (trial.bundle / CASES / case.name).exists():
            continue
        findings = [item for item in report.findings if _is_about(item, case)]
        errors = [item for item in findings if item.severity is Severity.error]
        works = trial.said[case.name] is None
        reported = errors if case.needs_the_bundle and case.how is not How.program else findings
        if (works and errors) or not (works or reported):
            wrong[case.name] = (trial.said[case.name], [_words(item) for item in findings])
    assert wrong == {}
    elsewhere = {item.file for item in report.errors if not item.file.startswith(CASES)}
    assert elsewhere <= {case.told_of for case in trial.cases.values()}


def test_reference_page_lists_the_cases() -> None:
    text = (REPOSITORY / "docs" / "reference" / "corpus.md").read_text("utf-8")
    cases = load_cases().values()
    both = [len([case for case in cases if case.suits(name)]) for name in ("armv7hf", "aarch64")]
    assert f"{len(cases)} cases" in text
    assert f"{both[0]} for armv7hf and {both[1]} for aarch64" in text
    for case in cases:
        assert (f"`{case.name}`" in text) is bool(case.limit or case.rule), case.name


def _is_about(finding: Finding, case: Case) -> bool:
    return finding.file.startswith(f"{CASES}/{case.name}/") or finding.file == case.told_of


def _words(finding: Finding) -> str:
    return f"{finding.severity} {finding.kind}: {finding.file} needs {finding.needs}, there is {finding.provides}"
