"""The pages that `readme` writes, and the claims that it refuses."""

import shutil
from pathlib import Path

import pytest
from claimed_results import CLAIMS, edit_claims

PAGES = ("README.md", "results/README.md")


def test_current_pages_stay_as_they_are(pages, datastill):
    before = [Path(page).read_text() for page in PAGES]
    answer = datastill("readme")
    assert answer.returncode == 0
    assert "renewed" not in answer.stdout
    assert [Path(page).read_text() for page in PAGES] == before


def test_stale_blocks_are_renewed_and_nothing_else(pages, datastill):
    before = [Path(page).read_text() for page in PAGES]
    for page in PAGES:
        text = Path(page).read_text()
        Path(page).write_text(
            text.replace("+4.0 [2.8, 5.2]", "+9.0 [7.8, 9.2]").replace("| results/seeds", "| seeds")
        )
    answer = datastill("readme")
    assert [line for line in answer.stdout.splitlines() if line.startswith("renewed")] == [
        "renewed README.md: results/claims.yaml",
        "renewed README.md: results/seeds/table1.md",
        "renewed results/README.md: results/claims.yaml",
    ]
    assert [Path(page).read_text() for page in PAGES] == before


def test_the_readme_has_the_claims_meant_for_it(pages, datastill):
    edit_claims(lambda claims: [claims[name].update(readme=name == "order") for name in claims])
    datastill("readme")
    text = Path("README.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("- ")] == [
        "- **Reproduced.** The order holds in each of 2 seeds. Paper: 54.9 and 60.2. "
        "([seeds/table1](results/seeds/table1.md))"
    ]


def test_a_project_without_claims_or_pages_has_nothing_to_renew(pages, datastill):
    CLAIMS.unlink()
    for page in PAGES:
        Path(page).unlink()
    answer = datastill("readme")
    assert answer.returncode == 0
    assert "no generated block in README.md or results/README.md" in answer.stdout


def cell(claims):
    return claims["few-labels"]["cells"]["student"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: cell(c).update(colum="gain"), "few-labels.cells.student.colum: unknown key"),
        (lambda c: cell(c).update(table="../a.csv"), "few-labels.cells.student.table: "),
        (lambda c: cell(c).update(where={}), "few-labels.cells.student.where: "),
        (lambda c: c["order"].update(rule="best"), "order.rule: "),
        (lambda c: c["order"].update(verdict="true"), "order.verdict: "),
        (lambda c: c["order"].pop("paper"), "order.paper: missing"),
        (
            lambda c: cell(c).update(column="gian"),
            "claim few-labels: cell student: results/seeds/table1.csv: there is no column gian",
        ),
        (
            lambda c: cell(c).update(where={"table": "1a"}),
            "claim few-labels: cell student: results/seeds/table1.csv: expected one line with",
        ),
        (
            lambda c: cell(c).update(table="results/seeds/table9.csv"),
            "results/seeds/table9.csv: no such file; `datastill tables table9 --profile seeds`",
        ),
        (lambda c: c["few-labels"].update(says="Gains 4."), "claim few-labels: says: expected a"),
        (lambda c: c["few-labels"].update(paper="{paper}"), "claim few-labels: no cell for {pap"),
        (lambda c: cell(c).update(column="ap"), "claim few-labels: cell student: rule 'gain'"),
        (lambda c: c["few-labels"].update(by_seed=True), "claim few-labels: by_seed: only 'or"),
    ],
)
def test_a_wrong_claim_costs_one_message_that_names_it_and_changes_nothing(
    pages, datastill, change, message
):
    edit_claims(change)
    before = [Path(page).read_text() for page in PAGES]
    answer = datastill("readme")
    assert answer.returncode == 1
    assert "results/claims.yaml" in answer.stderr
    assert message in answer.stderr
    assert [Path(page).read_text() for page in PAGES] == before


def test_an_order_by_seed_needs_the_rows_of_every_seed(pages, datastill):
    params = Path("pipelines/seeds/params.yaml")
    params.write_text(
        params.read_text().replace("seed: 1\n    unlabelled", "seed: 0\n    unlabelled")
    )
    answer = datastill("readme")
    assert (
        "claim order: by_seed: expected rows of 2 seeds, found co-35_co-80_seed-0" in answer.stderr
    )
    shutil.rmtree("results/seeds/metrics")
    assert "co-35_seed-0.json: no such file; run `datastill evaluate" in datastill("readme").stderr


def test_a_block_of_no_file_is_refused(pages, datastill):
    page = Path("README.md")
    page.write_text(page.read_text().replace("seeds/table1.md -->", "seeds/table7.md -->"))
    answer = datastill("readme")
    assert answer.returncode == 1
    assert "README.md: block results/seeds/table7.md: no such file" in answer.stderr


def test_a_line_tested_through_all_views_has_the_seeds_of_all_views(pages, datastill):
    table = Path("results/seeds/table1.csv")
    first, *lines = table.read_text().splitlines()
    table.write_text("\n".join([f"{first},test_views", *(f"{line},18" for line in lines), ""]))
    for path in Path("results/seeds/metrics").glob("*.json"):
        path.write_text(f'{{"ap": 1.0, "with_views": {path.read_text()}}}')
    answer = datastill("readme")
    assert answer.returncode == 0, answer.stderr
    assert "seed 0: 29.50 33.00; seed 1: 30.50 35.00" in Path("results/README.md").read_text()


def test_a_page_in_another_encoding_is_one_message(pages, datastill):
    Path("README.md").write_bytes(Path("README.md").read_bytes() + b"\xe9\n")
    for command in ("readme", "check"):
        answer = datastill(command)
        assert answer.returncode == 1
        assert "README.md: expected UTF-8, found" in answer.stderr
