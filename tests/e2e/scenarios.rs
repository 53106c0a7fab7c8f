//! The scenarios of `make e2e`, each with what must become of it without the webhook and with it.

use crate::cells::{
    Cell,
    Expected::{Not, Ran},
    Line::{Four, Three},
    Packages::{Conf, Deps, No},
    Row::{Connect, Notebook, Python, Scala, Scheduled, Submit},
    Scenario,
    Surroundings::{Limited, MemoryMistake, NoExecutorTemplate, Plain, Restricted, SizeMistake, UnnamedUser},
};

/// What the operator's own Ivy says, which resolves packages before it submits.
const OPERATORS_IVY: &str = "/home/spark/.ivy2";

/// Run side by side, in this order.
pub const SIDE_BY_SIDE: [Scenario; 13] = [
    Scenario { cell: Cell::new(Scala, Three, No, Plain), without: Ran, with: Ran },
    Scenario { cell: Cell::new(Python, Three, Deps, Plain), without: Not(OPERATORS_IVY), with: Ran },
    Scenario { cell: Cell::new(Scala, Four, Conf, Plain), without: Not(OPERATORS_IVY), with: Ran },
    Scenario { cell: Cell::new(Scheduled, Three, Deps, Plain), without: Not(OPERATORS_IVY), with: Ran },
    Scenario { cell: Cell::new(Connect, Three, No, Plain), without: Not("SparkConnectServer"), with: Ran },
    Scenario { cell: Cell::new(Connect, Four, No, NoExecutorTemplate), without: Not("nothing changes"), with: Ran },
    Scenario { cell: Cell::new(Connect, Three, No, MemoryMistake), without: Not("no space left on device"), with: Ran },
    Scenario { cell: Cell::new(Submit, Three, Conf, Plain), without: Not("/home/spark/.ivy2"), with: Ran },
    Scenario { cell: Cell::new(Notebook, Three, Conf, Plain), without: Not("/home/spark/.ivy2"), with: Ran },
    Scenario { cell: Cell::new(Scala, Three, Deps, UnnamedUser), without: Not(OPERATORS_IVY), with: Ran },
    Scenario { cell: Cell::new(Scala, Three, Conf, SizeMistake), without: Not("No space left on device"), with: Ran },
    Scenario { cell: Cell::new(Scala, Three, Deps, Limited), without: Not(OPERATORS_IVY), with: Ran },
    Scenario { cell: Cell::new(Python, Four, Deps, Restricted), without: Not(OPERATORS_IVY), with: Ran },
];
