"""kaggle check: which credentials there are, whether they work, whether the rules are accepted, what is left today."""

from pipeline import params
from pipeline.delivery import access
from pipeline.delivery.competition import Competition
from pipeline.delivery.settings import Submit
from pipeline.layout import Layout


def main(layout: Layout) -> None:
    """Print what was found. Raises PipelineError with the page to open where something is missing."""
    tree = params.read(layout.params)
    settings = params.section(tree, "submit", Submit)
    competition = Competition(settings.slug(tree.get("download")), settings.patience)
    found = access.check(competition)
    used, unused = found.places[0], found.places[1:]
    print(f"credentials: {used}" + "".join(f"; not used: {place}" for place in unused))
    print(f"they work{f', as user {found.user}' if found.user else ''}")
    rules = {True: "accepted", None: "could not be checked, since Kaggle's files cannot be reached now"}[found.rules]
    print(f"rules of {competition.slug}: {rules}")
    limits = found.limits
    print(f"submissions left now: {limits.left} ({limits.today} made today, {limits.total} in all)")
    access.require_one_left(competition, limits)
