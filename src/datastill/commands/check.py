"""Command `check`: the results against expected.yaml and the claims, and the pages against both."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from datastill.commands import readme
from datastill.errors import DataError
from datastill.evaluation.regression import Finding, check_orders, check_values
from datastill.project.claims_schema import ClaimSpec
from datastill.project.git import git
from datastill.project.loading import load_expected
from datastill.project.measured_claims import CLAIMS, claim_specs, measured
from datastill.project.profile import DEFAULT_PROFILE, Profile
from datastill.report.claims import Claim
from datastill.stages.tables import read_metrics

CURRENT = "what `datastill readme` writes"


def run(profile: Profile) -> tuple[str, bool]:
    """Return a line per expectation, claim and generated block, and whether all hold.

    Expectations of an unmeasured row fail. The default profile is checked against all claims and
    blocks, any other against those that rest on its own results.
    """
    name, path = profile.params.profile, profile.results / "expected.yaml"
    everything = name == DEFAULT_PROFILE
    specs = {
        key: spec for key, spec in claim_specs().items() if everything or name in spec.profiles()
    }
    findings = [] if specs and not everything and not path.is_file() else _expected(profile)
    claims, judged = _judged(specs)
    findings += judged
    for page, block, text in readme.blocks():
        if block == CLAIMS.as_posix():
            findings += _sentences(page, text, claims, everything and len(claims) == len(specs))
        elif everything or Path(block).parts[:2] == profile.results.parts:
            findings.append(_block(page, block, text))
    lines = [
        f"{'ok  ' if f.ok else 'FAIL'} {f.name}: expected {f.expected}, found {f.actual}"
        for f in findings
    ]
    failed = sum(not finding.ok for finding in findings)
    verdict = f"{failed} of {len(findings)} expectations fail" if failed else "all hold"
    return "\n".join([*lines, verdict]), not failed


def _expected(profile: Profile) -> list[Finding]:
    expected = load_expected(profile.results / "expected.yaml")
    rows = [row for row in profile.params.rows() if profile.metrics(row).is_file()]
    metrics = {row: read_metrics(profile, row) for row in rows}
    findings = check_values(expected.values, metrics)
    return findings + check_orders(expected.orders, metrics)


def _judged(specs: Mapping[str, ClaimSpec]) -> tuple[list[Claim], list[Finding]]:
    """Return the claims whose cells all exist, and a finding for every claim."""
    claims, findings = [], []
    for name, spec in specs.items():
        try:
            claim = measured(name, spec)
        except DataError as error:
            findings.append(Finding(f"claim {name}", spec.verdict, str(error), ok=False))
        else:
            ok = claim.verdict == spec.verdict
            findings.append(Finding(f"claim {name}", spec.verdict, claim.verdict, ok))
            claims.append(claim)
    return claims, findings


def _sentences(page: Path, text: str, claims: Sequence[Claim], whole: bool) -> Iterator[Finding]:
    """Yield a finding per stale claim of a page; if none is stale, one for the `whole` block."""
    present = {line.partition(" ")[2] for line in text.splitlines()}  # without number or dash
    stale = [name for name, item in readme.items(page, claims).items() if item not in present]
    for name in stale:
        yield Finding(f"claim {name} in {page}", CURRENT, "another sentence", ok=False)
    if whole and not stale:
        yield _block(page, CLAIMS.as_posix(), text, claims)


def _block(page: Path, name: str, text: str, claims: Sequence[Claim] = ()) -> Finding:
    """Compare a block with what it is generated from; a table not yet committed may be newer."""
    try:
        ok = text == readme.content(page, name, claims)
        actual = "the same" if ok else "another text"
        if not ok and name != CLAIMS.as_posix() and git("status", "--porcelain", "--", name):
            ok, actual = True, "a table made here since the last commit"
    except DataError as error:
        ok, actual = False, str(error)
    return Finding(f"{page}, block {name}", CURRENT, actual, ok)
