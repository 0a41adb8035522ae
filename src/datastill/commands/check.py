"""Command `check`: the results against expected.yaml."""

from datastill.evaluation.regression import check_orders, check_values
from datastill.project.loading import load_expected
from datastill.project.profile import Profile
from datastill.stages.tables import read_metrics


def run(profile: Profile) -> tuple[str, bool]:
    """Return a line per expectation, and whether all hold; those of an unmeasured row fail."""
    expected = load_expected(profile.results / "expected.yaml")
    measured = [row for row in profile.params.rows() if profile.metrics(row).is_file()]
    metrics = {row: read_metrics(profile, row) for row in measured}
    findings = check_values(expected.expectations(), metrics)
    findings += check_orders(expected.orders, metrics)
    lines = [
        f"{'ok  ' if f.ok else 'FAIL'} {f.name}: expected {f.expected}, found {f.actual}"
        for f in findings
    ]
    failed = sum(not finding.ok for finding in findings)
    verdict = f"{failed} of {len(findings)} expectations fail" if failed else "all hold"
    return "\n".join([*lines, verdict]), not failed
