//! What is to be done next about the certificates in a Secret. Every replica asks, of what it sees itself; none needs to know of another.
//!
//! ```text
//! nothing, or what cannot be served with --> Restore, else Make
//!                                                 |
//! in order --(two thirds of its life)--> Renew ---+--> in order
//! in order --(asked for, or a CA ends)--> Begin: a next CA beside the first --> Switch: a certificate of it --> Retire --> in order
//!                                                                overlap ^            overlap ^
//! ```
//! Publish comes before everything else that can wait: what is registered trusts exactly the CAs in the Secret.
//!
//! Why there is no leader: a step is one write that only the first of those who want it can do (the Secret's version has to be the one
//! that was seen). Why no clock is compared with another: the overlap is measured by each replica on its own, from when it first saw
//! what it still sees. A replica that was away measures anew, so a step comes late, and never early.

use std::time::{Duration, SystemTime};

use super::Held;

/// How long to leave it to others to restore what they remember, where somebody is trusted already.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often to look, if nobody says that something has changed.
const LOOK: Duration = Duration::from_secs(30);

/// What one replica sees at one look.
#[derive(Debug)]
pub struct Seen<'a> {
    /// What stands in the Secret, where it can be served with.
    pub held: Option<&'a Held>,
    /// What this replica took from it last.
    pub remembered: Option<&'a Held>,
    /// What is registered.
    pub trust: Trust,
    /// Somebody has asked for a rotation.
    pub is_asked_for: bool,
    /// What the API server calls the servers by.
    pub names: &'a [String],
    /// For how long all of this has been as it is.
    pub settled: Duration,
    /// By the clock on the wall.
    pub now: SystemTime,
}

/// Whom the webhook configurations trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// There are none, or none with a webhook of ours.
    Unregistered,
    /// Exactly the CAs in the Secret.
    Right,
    /// Others.
    Other,
    /// Nobody yet.
    Nobody,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A new CA and a certificate of it.
    Make,
    /// What this replica remembers goes back into the Secret.
    Restore,
    /// The Secret's CAs go into the webhook configurations.
    Publish,
    /// A next CA beside the first.
    Begin,
    /// A certificate of the next CA.
    Switch,
    /// The CAs go that only older certificates need.
    Retire,
    /// Another certificate of the same CA.
    Renew,
    /// Nothing, for so long.
    Wait(Duration),
}

impl Step {
    /// Every step that does something.
    pub const ALL: [Self; 7] =
        [Self::Make, Self::Restore, Self::Publish, Self::Begin, Self::Switch, Self::Retire, Self::Renew];

    /// The name in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Make => "make",
            Self::Restore => "restore",
            Self::Publish => "publish",
            Self::Begin => "begin",
            Self::Switch => "switch",
            Self::Retire => "retire",
            Self::Renew => "renew",
            Self::Wait(_) => "wait",
        }
    }
}

/// The next step. The overlap is how long API servers and replicas are given to see what has been written.
#[must_use]
pub fn next_step(seen: &Seen<'_>, overlap: Duration) -> Step {
    let Some(held) = seen.held else { return without_content(seen) };
    if matches!(seen.trust, Trust::Other | Trust::Nobody) {
        return Step::Publish;
    }
    let when_settled = |step| {
        let left = overlap.saturating_sub(seen.settled);
        if left.is_zero() { step } else { Step::Wait(left.min(LOOK)) }
    };
    if held.has_next_authority() {
        return when_settled(Step::Switch);
    }
    if held.needs_certificate(seen.names, seen.now) {
        return Step::Renew;
    }
    if held.has_old_authorities() {
        return when_settled(Step::Retire);
    }
    if seen.is_asked_for || held.needs_authority(seen.now) {
        return Step::Begin;
    }
    Step::Wait(LOOK)
}

fn without_content(seen: &Seen<'_>) -> Step {
    if seen.remembered.is_some_and(|remembered| remembered.is_valid(seen.now)) {
        return Step::Restore;
    }
    let left = PATIENCE.saturating_sub(seen.settled);
    let may_others_remember = matches!(seen.trust, Trust::Other | Trust::Right);
    if may_others_remember && !left.is_zero() { Step::Wait(left) } else { Step::Make }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);
    const OVERLAP: Duration = Duration::from_secs(10);
    const NOT_YET: Duration = Duration::from_secs(9);
    const AT_ONCE: Duration = Duration::ZERO;

    #[test]
    fn decides() {
        let now = SystemTime::now();
        let names = ["a.b.svc".to_owned()];
        let others = ["c.d.svc".to_owned()];
        let fresh = Held::make(names.to_vec(), now).unwrap();
        let begun = fresh.with_next_authority(now).unwrap();
        let switched = begun.with_next_certificate(&names, now).unwrap();
        let is_rest = |step: Step| matches!(step, Step::Wait(_));
        let look = |held, trust, settled, now| Seen {
            held,
            remembered: None,
            trust,
            is_asked_for: false,
            names: &names,
            settled,
            now,
        };
        let wait = |seconds| Step::Wait(Duration::from_secs(seconds));
        for (case, seen, expected) in [
            ("an empty cluster", look(None, Trust::Unregistered, AT_ONCE, now), Step::Make),
            ("installed, but nobody trusted yet", look(None, Trust::Nobody, AT_ONCE, now), Step::Make),
            ("gone, and others may remember", look(None, Trust::Other, AT_ONCE, now), wait(3)),
            ("gone, and nobody does", look(None, Trust::Other, PATIENCE, now), Step::Make),
            (
                "gone, and we remember",
                Seen { remembered: Some(&fresh), ..look(None, Trust::Other, AT_ONCE, now) },
                Step::Restore,
            ),
            (
                "gone, and what we remember has expired",
                Seen { remembered: Some(&fresh), ..look(None, Trust::Nobody, AT_ONCE, now + 91 * DAY) },
                Step::Make,
            ),
            ("caBundle is empty", look(Some(&fresh), Trust::Nobody, AT_ONCE, now), Step::Publish),
            ("caBundle is another's", look(Some(&fresh), Trust::Other, OVERLAP, now), Step::Publish),
            ("in order", look(Some(&fresh), Trust::Right, OVERLAP, now), Step::Wait(LOOK)),
            ("nothing is registered", look(Some(&fresh), Trust::Unregistered, OVERLAP, now), Step::Wait(LOOK)),
            ("asked for", Seen { is_asked_for: true, ..look(Some(&fresh), Trust::Right, AT_ONCE, now) }, Step::Begin),
            ("after two months", look(Some(&fresh), Trust::Right, AT_ONCE, now + 61 * DAY), Step::Renew),
            (
                "called by another name",
                Seen { names: &others, ..look(Some(&fresh), Trust::Right, AT_ONCE, now) },
                Step::Renew,
            ),
            ("the next CA is not yet seen", look(Some(&begun), Trust::Right, NOT_YET, now), wait(1)),
            ("the next CA is not yet published", look(Some(&begun), Trust::Other, OVERLAP, now), Step::Publish),
            ("the next CA has been seen", look(Some(&begun), Trust::Right, OVERLAP, now), Step::Switch),
            ("the old CA may be needed", look(Some(&switched), Trust::Right, NOT_YET, now), wait(1)),
            ("the old CA is not needed", look(Some(&switched), Trust::Right, OVERLAP, now), Step::Retire),
            (
                "asked for in the middle of one",
                Seen { is_asked_for: true, ..look(Some(&switched), Trust::Right, NOT_YET, now) },
                wait(1),
            ),
        ] {
            let step = next_step(&seen, OVERLAP);
            assert_eq!(step, expected, "{case}");
            assert!(!is_rest(step) || !Step::ALL.contains(&step), "{case}");
        }
    }

    #[test]
    fn every_step_is_counted_by_its_name() {
        assert_eq!(Step::ALL.map(Step::name), crate::metrics::Metrics::CERTIFICATE_STEPS);
    }

    /// Follows the steps as one replica after another would do them, a year and a half long.
    #[test]
    fn what_is_served_is_always_trusted_and_never_close_to_its_end() {
        let start = SystemTime::now();
        let names = ["a.b.svc".to_owned()];
        let mut held = Held::make(names.to_vec(), start).unwrap();
        let mut published = held.authorities().clone();
        let mut steps = Vec::new();
        for day in 0..550 {
            let now = start + day * DAY;
            for _ in 0..10 {
                let trust = if published == *held.authorities() { Trust::Right } else { Trust::Other };
                let seen = Seen {
                    held: Some(&held),
                    remembered: None,
                    trust,
                    is_asked_for: false,
                    names: &names,
                    settled: OVERLAP,
                    now,
                };
                let step = next_step(&seen, OVERLAP);
                held = match step {
                    Step::Wait(_) => break,
                    Step::Publish => {
                        published = held.authorities().clone();
                        continue;
                    }
                    Step::Begin => held.with_next_authority(now),
                    Step::Switch | Step::Renew => held.with_next_certificate(&names, now),
                    Step::Retire => held.without_old_authorities(now),
                    Step::Make | Step::Restore => panic!("{step:?} on day {day}"),
                }
                .unwrap();
                steps.push(step);
                assert_eq!(published.refuses(&held.pair().key.cert, &names[0], now + 29 * DAY), None, "day {day}");
            }
        }
        for step in [Step::Begin, Step::Switch, Step::Retire] {
            assert_eq!(steps.iter().filter(|&&taken| taken == step).count(), 2, "{step:?}: {steps:?}");
        }
    }
}
