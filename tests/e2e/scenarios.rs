//! Which scenarios are run, and what must become of each without the webhook and with it.

use crate::{
    cell::{
        Cell,
        Line::{self, Four, Three},
        Packages::{self, Conf, Deps, Large, No, OwnIvy},
        Row::{self, Connect, Notebook, Python, Scala, Scheduled, Submit},
        Surroundings::{
            self, ConnectInImage, ForeignClaim, Limited, MemoryMistake, MissingAccount, NoExecutorTemplate, NoRole,
            OtherUser, Plain, ReadOnlyEverything, ReadOnlyRoot, Restricted, RootInit, SizeMistake, SmallCache,
            UnnamedUser, UnwatchedNamespace,
        },
    },
    outcome::Outcome,
};

/// A cell and what must become of it.
#[derive(Clone, Copy)]
pub struct Scenario {
    pub cell: Cell,
    pub without: Expected,
    pub with: Expected,
    /// What a warning says at the submission with the webhook; nothing is asked of warnings where it is empty.
    pub warned: &'static str,
}

/// How a scenario must end.
#[derive(Clone, Copy)]
pub enum Expected {
    Ran,
    /// Later, and where or with what message holds the first text; the doctor calls that the second.
    Failed(&'static str, &'static str),
    /// At the submission, with a message that holds this text.
    Refused(&'static str),
}

use Expected::{Failed, Ran, Refused};

impl Expected {
    pub fn holds(self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (Self::Ran, Outcome::Ran) => true,
            (Self::Failed(text, _), Outcome::Failed { .. }) | (Self::Refused(text), Outcome::Refused(_)) => {
                outcome.to_string().contains(text)
            }
            _ => false,
        }
    }

    /// Whether the doctor's findings have the one that is expected.
    pub fn is_found(self, diagnosis: &[String]) -> bool {
        match self {
            Self::Failed(_, symptom) => diagnosis.iter().any(|found| found == symptom),
            Self::Ran | Self::Refused(_) => true,
        }
    }
}

/// The operator's own Ivy, which resolves packages before it submits: its image has no home for it.
const NO_HOME: Expected = Failed("/home/spark/.ivy2", "ivy-not-writable");
const NO_CONNECT: Expected = Failed("SparkConnectServer", "connect-class-missing");
const NO_TEMPORARY: Expected = Failed("temp directory", "directory-not-writable");
const NO_ACCOUNT: Expected = Failed("spark-drvier", "service-account-missing");
const NO_RIGHT: Expected = Failed("forbidden", "driver-permissions");

const fn scenario(
    (row, line, packages, surroundings): (Row, Line, Packages, Surroundings),
    without: Expected,
    with: Expected,
) -> Scenario {
    Scenario { cell: Cell::new(row, line, packages, surroundings), without, with, warned: "" }
}

const fn warned(scenario: Scenario, warned: &'static str) -> Scenario {
    Scenario { warned, ..scenario }
}

/// The scenarios of `make e2e`: each row, each column, and what both do to each other.
pub const CELLS: [Scenario; 13] = [
    scenario((Scala, Three, No, Plain), Ran, Ran),
    scenario((Python, Three, Deps, Plain), NO_HOME, Ran),
    scenario((Scala, Four, Conf, OtherUser), NO_HOME, Ran),
    scenario((Scheduled, Four, Deps, RootInit), NO_HOME, Ran),
    scenario((Connect, Three, No, Plain), NO_CONNECT, Ran),
    scenario((Connect, Three, No, ConnectInImage), Ran, Ran),
    scenario((Submit, Three, Conf, ReadOnlyRoot), NO_HOME, Ran),
    scenario((Notebook, Three, Conf, Plain), NO_HOME, Ran),
    scenario((Scala, Three, Deps, UnnamedUser), NO_HOME, Ran),
    scenario((Scala, Three, Deps, Limited), NO_HOME, Ran),
    scenario((Python, Four, OwnIvy, Restricted), Ran, Ran),
    scenario(
        (Scala, Three, No, ForeignClaim),
        Failed("AccessDeniedException: /scratch", "directory-not-writable"),
        Ran,
    ),
    scenario((Scala, Four, Large, Plain), NO_HOME, Ran),
];

/// The platform's failures: what goes wrong on every platform one day. Those come first that take minutes.
pub const FAILURES: [Scenario; 8] = [
    scenario((Connect, Four, No, NoExecutorTemplate), Failed("nothing changes", "executor-template-unusable"), Ran),
    warned(
        scenario((Connect, Three, No, MemoryMistake), Failed("no space left on device", "memory-in-bytes"), Ran),
        "512Mi",
    ),
    scenario(
        (Scala, Three, No, UnwatchedNamespace),
        Failed("nothing changes", "namespace-not-watched"),
        Refused("namespace-not-watched"),
    ),
    warned(scenario((Scala, Three, No, NoRole), NO_RIGHT, NO_RIGHT), "driver-permissions"),
    warned(scenario((Scala, Three, Conf, SizeMistake), Failed("No space left on device", "ivy-full"), Ran), "512Mi"),
    scenario((Connect, Three, No, SmallCache), NO_CONNECT, Failed("No space left on device", "ivy-full")),
    warned(
        scenario((Scala, Three, No, ReadOnlyEverything), NO_TEMPORARY, NO_TEMPORARY),
        "no volume is mounted at /tmp",
    ),
    warned(scenario((Scala, Three, No, MissingAccount), NO_ACCOUNT, NO_ACCOUNT), "spark-drvier"),
];

const ROWS: [Row; 6] = [Scala, Python, Scheduled, Connect, Submit, Notebook];
const LINES: [Line; 2] = [Three, Four];
const PACKAGES: [Packages; 4] = [No, Deps, Conf, OwnIvy];
const SURROUNDINGS: [Surroundings; 8] =
    [Plain, ReadOnlyRoot, UnnamedUser, OtherUser, RootInit, ForeignClaim, Limited, Restricted];

/// Cells in which every pair of columns is: of `make proof`.
pub fn pairwise() -> Vec<Cell> {
    let all: Vec<_> = combinations().filter(|cell| is_possible(*cell)).collect();
    let mut open: Vec<Pair> = all.iter().flat_map(|cell| pairs(*cell)).collect();
    let mut chosen = Vec::new();
    while !open.is_empty() {
        let news = |cell: &&Cell| pairs(**cell).iter().filter(|pair| open.contains(pair)).count();
        // The last of the best: any would do, as long as it is always the same.
        let Some(best) = all.iter().max_by_key(news) else { break };
        let covered = pairs(*best);
        open.retain(|pair| !covered.contains(pair));
        chosen.push(*best);
    }
    chosen
}

/// Every value of a column with every one of the others, also those that there cannot be.
pub fn combinations() -> impl Iterator<Item = Cell> {
    ROWS.into_iter()
        .flat_map(|row| LINES.into_iter().map(move |line| (row, line)))
        .flat_map(|(row, line)| PACKAGES.into_iter().map(move |packages| (row, line, packages)))
        .flat_map(|(row, line, packages)| {
            SURROUNDINGS.into_iter().map(move |around| Cell::new(row, line, packages, around))
        })
}

/// Only an application has the field `deps`.
pub fn is_possible(cell: Cell) -> bool {
    cell.packages != Deps || matches!(cell.row, Scala | Python | Scheduled)
}

type Pair = (String, String);

fn pairs(cell: Cell) -> Vec<Pair> {
    let values = [
        format!("{:?}", cell.row),
        format!("{:?}", cell.line),
        format!("{:?} packages", cell.packages),
        format!("{:?}", cell.surroundings),
    ];
    let first = values.iter().enumerate();
    first.flat_map(|(index, one)| values[index + 1..].iter().map(move |other| (one.clone(), other.clone()))).collect()
}
