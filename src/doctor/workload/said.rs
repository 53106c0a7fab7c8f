//! What a log says went wrong: that of a pod, or of the operator's `spark-submit`, which stands in an application's error message.
//!
//! The lines were seen with Spark 3.4.0, 3.5.0 to 3.5.9, 4.0.0 and 4.3.0, whose Kubernetes clients word a refusal in two ways. A log
//! may be cut at its beginning, hold lines of megabytes, colours and anything else. What a log says does not count for a pod that is
//! well: a program may have caught it.

use std::{borrow::Cow, collections::BTreeSet};

use crate::{doctor::Rule, policy::values::path::WORK_DIR};

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// Java does not read the heap's size, such as `-Xmx512Mi`.
    HeapSize(String),
    /// A heap of less than a mebibyte: a number without a unit is bytes.
    HeapTooSmall,
    /// Spark itself wants more than this heap: bytes that are there, and bytes that it wants.
    HeapBelowSparks(u64, u64),
    /// The operator's Spark does not read the driver's or the executors' memory.
    MemoryNotPositive(&'static str),
    /// Neither package nor jar has Spark Connect; or the package was asked for, and its jar is no whole one.
    ConnectClass { is_asked_for: bool },
    /// The class of the application is in none of its jars.
    MainClass(String),
    /// Ivy cannot write to its directory.
    IvyDirectory(String),
    /// Ivy's directory is not absolute: `?/.ivy2` without a home, `~/.ivy2` as it was written.
    IvyRelative(String),
    /// No room for what Ivy downloads.
    IvyFull,
    /// Two that filled one Ivy directory at once.
    IvyShared,
    /// What no repository has.
    IvyUnresolved(Vec<String>),
    /// A repository that cannot be reached, and what was asked for.
    IvyUnreachable(String, Vec<String>),
    /// The template of executors has no containers, or cannot be read.
    Template,
    /// Two mounts at one path.
    DuplicateMount(String),
    /// Java's user has no name.
    UnnamedUser,
    /// Spark Connect from a package on a core that cannot send its jobs to executors.
    ConnectCore,
    /// The service account of a pod is not there.
    AccountMissing(String),
    /// A webhook has refused it: its name, and what it said.
    WebhookDenied(String, String),
    /// A webhook could not be asked: its name, and why not.
    WebhookFailed(String, String),
    /// An account may not do what Spark needs; without a rule where the client does not say which.
    Forbidden { account: String, rules: BTreeSet<Rule> },
    /// The API server has refused a pod: which one, by what, what it said.
    Refused { pod: String, by: By, message: String },
    /// Java's memory is used up: which one.
    OutOfMemory(String),
    /// A disk is full.
    DiskFull,
    /// Executors ended so often that Spark gave up.
    ExecutorsFailed,
    /// An account may do all but clean up behind the job.
    CleanupForbidden { account: String, rules: BTreeSet<Rule> },
    /// A directory that may not be written to, or what is in it not read.
    Directory { path: String, is_read_only: bool },
    /// Something else, in its own words.
    Exception,
}

/// The rank of an exception: a program may have caught it and gone on.
const LAST_COUNTS: u8 = 10;

/// What the API server refuses a pod by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A quota is used up.
    QuotaUsedUp,
    /// A quota counts what the pod does not say.
    QuotaDemands,
    /// A limit range.
    LimitRange,
    /// A Pod Security Standard.
    PodSecurity,
    /// The pod itself is not valid.
    Invalid,
    /// Something else.
    Other,
}

/// A cause, and the line that says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) cause: Cause,
    pub(super) line: String,
}

/// What was seen on the way to a line.
#[derive(Default)]
struct Before {
    /// Ivy has begun, and Spark itself has not.
    is_resolving: bool,
    /// The package of Spark Connect was resolved.
    has_connect: bool,
    /// A repository that could not be reached.
    unreachable: Option<String>,
}

/// The cause that explains most of what a log says; what an application says itself only where nothing else is known.
pub(super) fn by(log: &str) -> Option<Said> {
    let mut before = Before::default();
    let mut best: Option<Said> = None;
    for line in log.lines() {
        let line = plain(line);
        if let Some((cause, place)) = cause_in(&line, &before)
            && !best.as_mut().is_some_and(|said| add(&mut said.cause, &cause))
            && best.as_ref().is_none_or(|said| cause.explains_more_than(&said.cause))
        {
            best = Some(Said { cause, line: excerpt(&line, place) });
        }
        before.pass(&line);
    }
    best
}

impl Before {
    fn pass(&mut self, line: &str) {
        if line.contains(":: loading settings ::") || line.contains(":: resolving dependencies ::") {
            self.is_resolving = true;
        } else if line.contains("Running Spark version") {
            self.is_resolving = false;
        }
        self.has_connect |= line.contains("org.apache.spark#spark-connect_")
            && (line.contains("added as a dependency") || line.contains("found "));
        if self.unreachable.is_none() {
            self.unreachable = unreachable(line);
        }
    }
}

impl Cause {
    /// Of two of a rank the first counts; but what an application says last is why it ended.
    fn explains_more_than(&self, other: &Self) -> bool {
        self.rank() < other.rank() || (self.rank() == LAST_COUNTS && other.rank() == LAST_COUNTS)
    }

    /// What explains more is smaller.
    fn rank(&self) -> u8 {
        match self {
            Self::HeapSize(_) | Self::HeapTooSmall | Self::HeapBelowSparks(..) | Self::MemoryNotPositive(_) => 0,
            Self::IvyDirectory(_) | Self::IvyRelative(_) | Self::IvyFull | Self::IvyShared => 1,
            Self::IvyUnresolved(_) | Self::IvyUnreachable(..) => 2,
            Self::ConnectClass { .. } => 3,
            Self::MainClass(_) => 4,
            Self::Template | Self::DuplicateMount(_) | Self::UnnamedUser | Self::ConnectCore => 5,
            Self::AccountMissing(_) | Self::WebhookDenied(..) | Self::WebhookFailed(..) => 6,
            Self::Forbidden { .. } | Self::Refused { .. } => 7,
            Self::OutOfMemory(_) | Self::DiskFull | Self::ExecutorsFailed => 8,
            Self::CleanupForbidden { .. } => 9,
            Self::Directory { .. } | Self::Exception => LAST_COUNTS,
        }
    }
}

/// Adds what another line says of the same; false where it is something else.
fn add(known: &mut Cause, more: &Cause) -> bool {
    match (known, more) {
        (
            Cause::Forbidden { account, rules },
            Cause::Forbidden { account: other, rules: more } | Cause::CleanupForbidden { account: other, rules: more },
        )
        | (Cause::CleanupForbidden { account, rules }, Cause::CleanupForbidden { account: other, rules: more })
            if account.is_empty() || other.is_empty() || account == other =>
        {
            rules.extend(more.iter().cloned());
            if account.is_empty() {
                account.clone_from(other);
            }
            true
        }
        _ => false,
    }
}

/// The cause that a line names, and where in the line.
fn cause_in(line: &str, before: &Before) -> Option<(Cause, usize)> {
    let at = |text: &str| line.find(text);
    let behind = |text: &str| line.split_once(text).map(|(_, rest)| rest);
    if let Some(rest) = behind("Invalid maximum heap size: ") {
        return Some((Cause::HeapSize(first_word(rest)), 0));
    }
    if line.contains("Too small maximum heap") {
        return Some((Cause::HeapTooSmall, 0));
    }
    if let Some(place) = at("System memory ").filter(|_| line.contains(" must be at least ")) {
        let mut numbers = line[place..].split(' ').filter_map(|word| word.trim_end_matches('.').parse().ok());
        if let (Some(has), Some(needs)) = (numbers.next(), numbers.next()) {
            return Some((Cause::HeapBelowSparks(has, needs), place));
        }
    }
    for (text, section) in [
        ("Driver memory must be a positive number", "driver"),
        ("Executor memory must be a positive number", "executor"),
    ] {
        if let Some(place) = at(text) {
            return Some((Cause::MemoryNotPositive(section), place));
        }
    }
    ivy(line, before).or_else(|| class(line, before)).or_else(|| refusal(line)).or_else(|| other(line))
}

fn ivy(line: &str, before: &Before) -> Option<(Cause, usize)> {
    if let Some((_, rest)) = line.split_once("basedir must be absolute: ") {
        return Some((Cause::IvyRelative(first_word(rest)), 0));
    }
    if let Some(place) = line.find("unresolved dependency: ") {
        let missing = unresolved(&line[place..]);
        let cause = match &before.unreachable {
            Some(host) => Cause::IvyUnreachable(host.clone(), missing),
            None => Cause::IvyUnresolved(missing),
        };
        return Some((cause, place));
    }
    let is_ivys = line.contains("/.ivy2") || line.contains("resolved-org.apache.spark-spark-submit-parent-");
    // The application's own file may be missing too.
    let is_ivys = is_ivys || (before.is_resolving && line.contains("/cache/"));
    if let Some(place) = line.find("java.io.FileNotFoundException: ").filter(|_| is_ivys) {
        let path = line[place..].trim_start_matches("java.io.FileNotFoundException: ");
        let path = path.rsplit_once(" (").map_or(path, |(path, _)| path);
        // What another process has moved away meanwhile.
        let is_moved = path.rsplit_once('.').is_some_and(|(_, end)| ["original", "part"].contains(&end));
        if is_moved {
            return Some((Cause::IvyShared, place));
        }
        let directory = path.split_once("/cache/").map_or(path, |(directory, _)| directory);
        return Some((Cause::IvyDirectory(directory.to_owned()), place));
    }
    if let Some(place) = line.find("[download failed: ") {
        let cause = match &before.unreachable {
            Some(host) => Cause::IvyUnreachable(host.clone(), Vec::new()),
            None => Cause::IvyShared,
        };
        return Some((cause, place));
    }
    let is_full = line.contains("No space left on device");
    let is_retrieving = line.contains("problem during retrieve of");
    (is_full && (before.is_resolving || is_retrieving)).then_some((Cause::IvyFull, 0))
}

fn class(line: &str, before: &Before) -> Option<(Cause, usize)> {
    const SERVER: &str = "org.apache.spark.sql.connect.service.SparkConnectServer";
    const PLUGIN: &str = "org.apache.spark.sql.connect.SparkConnectPlugin";
    if let Some(place) = line.find("Failed to load class ") {
        let name = first_word(&line[place + "Failed to load class ".len()..]);
        let name = name.trim_end_matches('.');
        let connect = Cause::ConnectClass { is_asked_for: before.has_connect };
        return Some((if name == SERVER { connect } else { Cause::MainClass(name.to_owned()) }, place));
    }
    let place = line.find("ClassNotFoundException: ")?;
    let name = first_word(&line[place + "ClassNotFoundException: ".len()..]);
    [SERVER, PLUGIN]
        .contains(&name.as_str())
        .then_some((Cause::ConnectClass { is_asked_for: before.has_connect }, place))
}

/// What the API server has refused, in the words of either client.
fn refusal(line: &str) -> Option<(Cause, usize)> {
    // A log of JSON lines writes quotes with a backslash.
    let text: Cow<'_, str> = if line.contains("\\\"") { line.replace("\\\"", "\"").into() } else { line.into() };
    if let Some((account, rule)) = forbidden(&text) {
        let is_cleanup = rule.verb == "deletecollection";
        let rules = BTreeSet::from([rule]);
        let cause =
            if is_cleanup { Cause::CleanupForbidden { account, rules } } else { Cause::Forbidden { account, rules } };
        return Some((cause, line.find("is forbidden: ").unwrap_or(0)));
    }
    if let Some(place) = text.find("error looking up service account ") {
        let account = first_word(&text[place + "error looking up service account ".len()..]);
        return Some((Cause::AccountMissing(account.trim_end_matches(':').to_owned()), 0));
    }
    for (says, make) in [
        ("\" denied the request: ", Cause::WebhookDenied as fn(String, String) -> Cause),
        ("\": failed to call webhook: ", Cause::WebhookFailed),
    ] {
        if let Some((head, message)) = text.split_once(says) {
            let (_, name) = head.rsplit_once('"')?;
            return Some((make(name.to_owned(), without_status(message)), line.find(name).unwrap_or(0)));
        }
    }
    if let Some(place) = text.find("\" is forbidden: ") {
        let pod = text[..place].rsplit('"').next().unwrap_or_default().to_owned();
        let message = without_status(&text[place + "\" is forbidden: ".len()..]);
        return Some((Cause::Refused { pod, by: refused_by(&message), message }, line.find("pods ").unwrap_or(0)));
    }
    if let Some((head, rest)) = text.split_once("\" is invalid: ").filter(|(head, _)| head.contains("Pod \"")) {
        let pod = head.rsplit('"').next().unwrap_or_default().to_owned();
        return Some((Cause::Refused { pod, by: By::Invalid, message: without_status(rest) }, 0));
    }
    // Neither client says who may not do what, where it was told in an answer without a body.
    let is_forbidden = line.contains("Forbidden!Configured service account doesn't have access")
        || line.contains("Received 403 on websocket");
    is_forbidden.then(|| (Cause::Forbidden { account: String::new(), rules: BTreeSet::new() }, 0))
}

fn refused_by(message: &str) -> By {
    if message.contains("must specify ") {
        By::QuotaDemands
    } else if message.contains("exceeded quota") {
        By::QuotaUsedUp
    } else if message.contains("usage per ") || message.contains("limit to request ratio") {
        By::LimitRange
    } else if message.contains("violates PodSecurity") {
        By::PodSecurity
    } else {
        By::Other
    }
}

fn other(line: &str) -> Option<(Cause, usize)> {
    if line.contains("Could not load pod from template file") || line.contains("KubernetesUtils.selectSparkContainer") {
        return Some((Cause::Template, 0));
    }
    if let Some((_, rest)) = line.split_once("Found duplicated mountPath: ") {
        let path = rest.trim_matches(|c: char| c == '\'' || c == '`' || c.is_whitespace());
        return Some((Cause::DuplicateMount(path.to_owned()), 0));
    }
    if line.contains("invalid null input: name") {
        return Some((Cause::UnnamedUser, 0));
    }
    if line.contains("ClassCastException") && line.contains("java.lang.invoke.SerializedLambda") {
        return Some((Cause::ConnectCore, 0));
    }
    if let Some(place) = line.find("java.lang.OutOfMemoryError") {
        let kind = line[place..].split_once(": ").map_or("", |(_, kind)| kind.trim());
        return Some((Cause::OutOfMemory(kind.chars().take(200).collect()), place));
    }
    if let Some(place) = line.find("No space left on device") {
        return Some((Cause::DiskFull, place.saturating_sub(100)));
    }
    if line.contains("Max number of executor failures (") {
        return Some((Cause::ExecutorsFailed, 0));
    }
    if let Some((path, is_read_only, place)) = directory(line) {
        return Some((Cause::Directory { path, is_read_only }, place));
    }
    let says_why = ["Exception in thread ", "Caused by: ", "Error: ", "error: "].iter().any(|it| line.starts_with(it))
        || is_exception(line);
    says_why.then_some((Cause::Exception, 0))
}

/// The directory that a program may not write to, as Java, Spark and Python say it; whether it is read-only; where in the line they say so.
fn directory(line: &str) -> Option<(String, bool, usize)> {
    const TEMPORARY: &str = "Failed to create a temp directory (under ";
    if let Some(place) = line.find(TEMPORARY) {
        let (path, _) = line[place + TEMPORARY.len()..].split_once(')')?;
        let path = if path.starts_with('/') { path } else { WORK_DIR };
        return Some((path.to_owned(), false, place));
    }
    let (file, place) = unwritable_file(line)?;
    let (path, _) = file.rsplit_once('/')?;
    // Below the root there is nothing for programs to write, and nothing to be mounted on it.
    (!path.is_empty()).then(|| (path.to_owned(), line.contains("Read-only file system"), place))
}

/// The file that may not be written, and where in the line that is said. A bucket's is none, though its exceptions have the same name.
fn unwritable_file(line: &str) -> Option<(&str, usize)> {
    let is_denied =
        ["AccessDeniedException: ", "Permission denied", "Read-only file system"].iter().any(|it| line.contains(it));
    let says = [
        "AccessDeniedException: /",
        "FileSystemException: /",
        "FileNotFoundException: /",
        "Permission denied: '/",
        "Read-only file system: '/",
    ];
    let (place, words) = says.into_iter().find_map(|words| Some((line.find(words)?, words))).filter(|_| is_denied)?;
    // In a log of JSON lines the next line of the trace follows a backslash.
    let said = line[place + words.len() - 1..].split(['\'', '"', '\\']).next()?;
    // Of two files the second is where the first was to go.
    let file = said.split(" -> ").last()?;
    Some((file.split([':', '(']).next()?.trim_end(), place))
}

/// `java.lang.IllegalStateException: why`, `py4j.protocol.Py4JJavaError: why`, `ValueError: why`.
fn is_exception(line: &str) -> bool {
    let Some((name, _)) = line.split_once(':') else { return false };
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._$".contains(c));
    is_name && (name.ends_with("Exception") || name.ends_with("Error"))
}

/// `User "system:serviceaccount:team-a:spark" cannot create resource "pods" in API group "" in the namespace "team-a"`.
fn forbidden(text: &str) -> Option<(String, Rule)> {
    let (_, rest) = text.split_once("User \"system:serviceaccount:")?;
    let (account, rest) = rest.split_once("\" cannot ")?;
    let (verb, rest) = rest.split_once(" resource \"")?;
    let (resource, rest) = rest.split_once('"')?;
    let between = |rest: &str, before: &str| Some(rest.split_once(before)?.1.split_once('"')?.0.to_owned());
    let rule = Rule {
        verb: verb.to_owned(),
        resource: resource.to_owned(),
        group: between(rest, "in API group \"").unwrap_or_default(),
        namespace: between(rest, "in the namespace \"").unwrap_or_default(),
    };
    Some((account.replace(':', "/"), rule))
}

/// The client of Spark 4 repeats everything as a struct.
fn without_status(message: &str) -> String {
    let message = message.split(" Received status: Status(").next().unwrap_or(message);
    message.trim().chars().take(600).collect()
}

/// Where something could not be reached, as Ivy says it.
fn unreachable(line: &str) -> Option<String> {
    if let Some((_, rest)) = line.split_once("Server access error at url ") {
        return Some(host(rest));
    }
    let (_, rest) = line.split_once("Host ")?;
    rest.contains(" not found. url=").then(|| first_word(rest))
}

/// `repo1.maven.org` of `https://repo1.maven.org/maven2/org/...`.
fn host(url: &str) -> String {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    behind.split(['/', ' ']).next().unwrap_or_default().to_owned()
}

/// `org.apache.spark:spark-connect_2.12:3.5.9` for each `org.apache.spark#spark-connect_2.12;3.5.9: not found`.
fn unresolved(text: &str) -> Vec<String> {
    let one = |part: &str| {
        let module = part.split([']', ',']).next()?.split(": ").next()?.trim();
        Some(module.replace(['#', ';'], ":"))
    };
    text.split("unresolved dependency: ").filter(|part| part.contains('#')).filter_map(one).take(20).collect()
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().chars().take(300).collect()
}

/// A line without the colours of a terminal.
fn plain(line: &str) -> Cow<'_, str> {
    if !line.contains('\u{1b}') {
        return line.into();
    }
    let mut parts = line.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // `[`, numbers, and the letter that ends them.
        match part.strip_prefix('[') {
            Some(code) => {
                let end = code.find(|c: char| c.is_ascii_alphabetic()).map_or(code.len(), |end| end + 1);
                plain.push_str(&code[end..]);
            }
            None => plain.push_str(part),
        }
    }
    plain.into()
}

/// The part of a line that says it: what stands megabytes before or behind is left out.
fn excerpt(line: &str, place: usize) -> String {
    let start = if place > 200 { place } else { 0 };
    let start = (start..=line.len()).find(|at| line.is_char_boundary(*at)).unwrap_or(line.len());
    line[start..].trim_start().chars().take(1_000).collect()
}

#[cfg(test)]
mod tests;
