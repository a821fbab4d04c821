"""CLAIM, 2024 update (Tejani et al., Radiology: AI 2024, doi:10.1148/ryai.240300), filled in.

The items are in our own short words; the numbers are the checklist's.
"""

from dataclasses import dataclass

DONE = "yes"
PARTLY = "partly"
NOT_DONE = "not done"
NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class ClaimItem:
    """One item: number, section, what is asked, whether it is answered, and where or why not."""

    number: int
    section: str
    asked: str
    status: str
    where: str


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What the answers depend on: what this report could do with the data at hand.

    `averaged` is the number of trainings whose weights the network is the mean of.
    """

    has_demographics: bool
    has_robustness: bool
    has_seeds: bool
    is_test_split: bool
    averaged: int = 1


# Number, section, item, status, where it is answered or why it is not.
ROWS = (
    (1, "Title, abstract", "Named as a study of AI, with its kind", DONE, "Head of this report"),
    (2, "", "Structured summary", DONE, "Summary"),
    (3, "Introduction", "Background, intended use and role", PARTLY, "Model card: intended use"),
    (4, "", "Aims and hypotheses", PARTLY, "Model card: release gate, where the task has one"),
    (
        5,
        "Study design",
        "Prospective or retrospective",
        DONE,
        "Retrospective: the images existed before",
    ),
    (6, "", "Goal of the study", DONE, "Development and internal evaluation of a classifier"),
    (7, "Data", "Sources", DONE, "Model card: data and licences"),
    (8, "", "Inclusion and exclusion", PARTLY, "Those of the published sets; duplicates removed"),
    (9, "", "Preprocessing", DONE, "Model card; manifest: preprocessing, input"),
    (10, "", "Selection of subsets of the image", NOT_APPLICABLE, "Whole images are used"),
    (11, "", "De-identification", PARTLY, "By the publishers of the sets; not checked again"),
    (12, "", "Missing data", PARTLY, "Missing facts are a part of their own in the subgroups"),
    (13, "", "Acquisition protocol", NOT_DONE, "The sets don't state devices or protocols"),
    (14, "Reference standard", "Definition", PARTLY, "The published labels, as they are"),
    (15, "", "Why this one", NOT_DONE, "No other was to be had"),
    (16, "", "Who annotated", NOT_DONE, "See the sets' publications; not re-read here"),
    (17, "", "Annotation of the test set", NOT_DONE, "The published labels; no second reading"),
    (18, "", "Variability between readers", NOT_DONE, "One label an image; no readers to compare"),
    (
        19,
        "Partitions",
        "How images were assigned",
        DONE,
        "By the data set's table, or by group; see the model card",
    ),
    (20, "", "Level of disjointness", DONE, "Groups (patient where known); checked at loading"),
    (21, "Testing data", "Intended sample size", NOT_DONE, "All images there are; see intervals"),
    (22, "Model", "Description", DONE, "Model card and manifest; task file"),
    (23, "", "Software", DONE, "Manifest: training software"),
    (24, "", "First weights", DONE, "Task file; model card: licences"),
    (25, "Training", "Approach", DONE, "Task file; training curves in the bundle"),
    (
        26,
        "",
        "How the model was selected",
        DONE,
        "By the task file's monitor, on validation images",
    ),
    (27, "", "Ensembling", NOT_APPLICABLE, "One network"),
    (28, "Evaluation", "Metrics", DONE, "Figures by label; calibration; operating points"),
    (29, "", "Uncertainty", DONE, "95 % intervals from resampling whole groups"),
    (30, "", "Robustness", NOT_DONE, "Left out of this run"),
    (31, "", "Explanation", PARTLY, "Activation maps of wrong answers; not validated by readers"),
    (32, "", "Internal data", DONE, "This report"),
    (33, "", "External data", NOT_DONE, "Test images are of the same collections as training"),
    (34, "", "Trial registration", NOT_APPLICABLE, "Not a trial"),
    (35, "Results: data", "Numbers included and excluded", PARTLY, "Counts; exclusions: data set"),
    (36, "", "Characteristics by partition", NOT_DONE, "The set states neither age nor sex"),
    (37, "Performance", "Metrics with uncertainty", DONE, "Figures by label"),
    (38, "", "Diagnostic performance and precision", DONE, "Operating points"),
    (39, "", "Analysis of wrong answers", PARTLY, "Gallery; not read by a radiologist"),
    (40, "Discussion", "Limitations", DONE, "Limits"),
    (41, "", "Implications for practice", PARTLY, "Model card: not for clinical use"),
    (42, "Other", "Protocol or technical details", DONE, "Task file, manifest, source code"),
    (43, "", "Availability of software, model, data", DONE, "Model card: reproduce"),
    (44, "", "Funding", NOT_DONE, "Not stated in the bundle"),
)


def fill_checklist(facts: ReportFacts) -> list[ClaimItem]:
    """The 44 items; what depends on the data or the run is answered for this one."""
    changed: dict[int, tuple[str, str]] = {}
    if facts.averaged > 1:
        where = f"Weights of {facts.averaged} trainings, averaged into one network"
        changed[27] = (DONE, where)
    if facts.has_demographics:
        changed[36] = (DONE, "Model card: population; subgroups, for this split only")
    if facts.has_robustness:
        changed[30] = (DONE, "Robustness; subgroups")
    if facts.has_seeds:
        changed[29] = (DONE, "95 % intervals from whole groups; spread over training seeds")
    if not facts.is_test_split:
        changed[32] = (PARTLY, "This split took part in choosing the model: read it as hopeful")
    items = []
    section = ""
    for number, heading, asked, status, where in ROWS:
        section = heading or section
        status, where = changed.get(number, (status, where))
        items.append(ClaimItem(number, section, asked, status, where))
    return items
