"""Which mark stands before the decimals of a CSV file's numbers: found by reading them by either."""

from dataclasses import replace

from components.data.drafting.guess import decimal_comma
from components.data.drafting.survey import Survey, survey
from components.data.sources.chunk import Source
from components.data.sources.csv_file import CsvFile


def survey_by_mark(source: Source) -> Survey:
    """Return what was seen of a source, its numbers read by the mark that they have.

    A CSV file is read again where some columns seem to have decimal commas. They are its mark if a column is one of
    numbers by them alone, and no number of the others has a point: of a file that has both, nobody knows.
    """
    by_points = survey(source)
    if not isinstance(source, CsvFile) or not any(map(decimal_comma, by_points.columns.values())):
        return by_points
    by_commas = survey(CsvFile(source.path, decimal=","))
    pairs = [(facts, by_points.columns[name]) for name, facts in by_commas.columns.items()]
    if pointed := [facts.name for facts, other in pairs if other.mostly_numbers and facts.numbers < other.numbers]:
        return replace(by_points, pointed=tuple(pointed))
    gained = any(facts.mostly_numbers and not other.mostly_numbers for facts, other in pairs)
    return by_commas if gained else by_points
