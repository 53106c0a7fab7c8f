//! A scenario as a cell of a matrix: a way of submitting, a line of Spark's releases, a way of naming packages, and what surrounds it.

use crate::platform::{LIMITED, NO_ROLE, RESTRICTED, UNWATCHED, USERS};

/// A way of submitting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Row {
    Scala,
    Python,
    Scheduled,
    Connect,
    /// `spark-submit` in cluster mode, from a pod.
    Submit,
    /// A session in client mode, in a notebook's pod.
    Notebook,
}

/// The image of the older line, as users have it.
pub const SPARK_3: &str = "apache/spark:3.5.7";

/// A line of Spark's releases.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line {
    Three,
    Four,
}

impl Line {
    /// The release of it that is run: as tests/e2e/spark says.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Three => "3.5.7",
            Self::Four => "4.0.0",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packages {
    No,
    /// `deps.packages`
    Deps,
    /// `spark.jars.packages`
    Conf,
    /// `spark.jars.packages` and a directory for Ivy
    OwnIvy,
    /// hadoop-aws, of which Ivy keeps 535 MiB, beside 1g of memory for the driver.
    Large,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Surroundings {
    Plain,
    /// A read-only root file system, and volumes for `/tmp` and the work-dir, without which no driver can start.
    ReadOnlyRoot,
    /// A read-only root file system, and nothing else.
    ReadOnlyEverything,
    /// A user who is not in the image's passwd file.
    UnnamedUser,
    /// A company's own image, that was made for a user of its own, 1001, with a home.
    OtherUser,
    /// An init container that must be root.
    RootInit,
    /// A claim for Spark's local directory, with another's files in it.
    ForeignClaim,
    /// A `LimitRange` and a `ResourceQuota`.
    Limited,
    /// The Pod Security Standard `restricted`.
    Restricted,
    /// An image with Spark Connect in it, and no way to any repository.
    ConnectInImage,
    /// A SparkConnect without a template for its executors.
    NoExecutorTemplate,
    /// `limits.memory: 512m`, the mistake.
    MemoryMistake,
    /// A volume of the user's for Ivy with `sizeLimit: 512m`, the mistake.
    SizeMistake,
    /// `ivy-cache-size: 20Mi`, less than the packages need.
    SmallCache,
    /// On a node whose file system takes no limits.
    BrokenNode,
    /// A namespace that the operator does not watch.
    UnwatchedNamespace,
    /// An account that is not there.
    MissingAccount,
    /// An account that may do nothing.
    NoRole,
}

/// One scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    pub row: Row,
    pub line: Line,
    pub packages: Packages,
    pub surroundings: Surroundings,
}

impl Cell {
    pub const fn new(row: Row, line: Line, packages: Packages, surroundings: Surroundings) -> Self {
        Self { row, line, packages, surroundings }
    }

    /// Of letters and dashes, so that everything can be called after it.
    pub fn name(self) -> String {
        let words = format!("{:?}{:?}{:?}{:?}", self.row, self.line, self.packages, self.surroundings);
        let mut name = String::new();
        for letter in words.chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.extend(letter.to_lowercase());
        }
        name
    }

    pub const fn namespace(self) -> &'static str {
        match self.surroundings {
            Surroundings::Limited => LIMITED,
            Surroundings::Restricted => RESTRICTED,
            Surroundings::UnwatchedNamespace => UNWATCHED,
            Surroundings::NoRole => NO_ROLE,
            _ => USERS,
        }
    }

    pub const fn version(self) -> &'static str {
        self.line.version()
    }

    pub fn image(self) -> String {
        let version = self.version();
        match self.surroundings {
            Surroundings::OtherUser => format!("example/etl:{version}"),
            Surroundings::ConnectInImage => format!("example/spark-with-connect:{version}"),
            _ => format!("apache/spark:{version}"),
        }
    }

    pub const fn account(self) -> &'static str {
        match self.surroundings {
            Surroundings::MissingAccount => "spark-drvier",
            _ => "spark-driver",
        }
    }
}
