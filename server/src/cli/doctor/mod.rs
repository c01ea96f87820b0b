//! `doctor`: looks at everything a server rests on, and says what to do about what it finds.

mod certificate;
mod database;
mod disk;
mod ports;
mod settings;
mod storage;
mod x509;

use std::fmt;
use std::process::ExitCode;

use super::options::Options;
use super::out::say;
use crate::config::Config;

/// What was looked at, how it is, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    found: String,
    /// Empty where there is nothing to do.
    advice: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Fine,
    Doubtful,
    Wrong,
}

impl Finding {
    fn fine(what: &'static str, found: impl Into<String>) -> Self {
        Self::new(what, Verdict::Fine, found, "")
    }

    fn doubtful(what: &'static str, found: impl Into<String>, advice: &'static str) -> Self {
        Self::new(what, Verdict::Doubtful, found, advice)
    }

    fn wrong(what: &'static str, found: impl Into<String>, advice: &'static str) -> Self {
        Self::new(what, Verdict::Wrong, found, advice)
    }

    fn new(what: &'static str, verdict: Verdict, found: impl Into<String>, advice: &'static str) -> Self {
        Self {
            what,
            verdict,
            found: found.into(),
            advice,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Fine => "ok  ",
            Verdict::Doubtful => "warn",
            Verdict::Wrong => "FAIL",
        };
        writeln!(f, "{verdict}  {:<14} {}", self.what, self.found)?;
        if !self.advice.is_empty() {
            writeln!(f, "{:21} {}", "", self.advice)?;
        }
        Ok(())
    }
}

/// Succeeds unless something is wrong; what is doubtful is only said.
pub(super) async fn doctor(options: &Options) -> ExitCode {
    let sources = options.sources();
    let mut worst = Verdict::Fine;
    let mut tell = |findings: Vec<Finding>| {
        for finding in findings {
            worst = worst.max(finding.verdict);
            say(&finding.to_string());
        }
    };
    match sources.load() {
        Err(error) => tell(vec![Finding::wrong(
            "settings",
            error.to_string(),
            "Nothing else can be looked at before that.",
        )]),
        Ok(config) => {
            tell(settings::look(&config, sources.file()));
            tell(ports::look(&config));
            tell(disk::look(&config));
            tell(certificate::look(&config).await);
            tell(database::look(&config).await);
            tell(storage::look(&config).await);
        }
    }
    match worst {
        Verdict::Fine => say("All is well.\n"),
        Verdict::Doubtful => say("It will run. See to the warnings.\n"),
        Verdict::Wrong => {
            say("It should not run like this.\n");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Whether other machines can reach what listens there.
fn is_exposed(config: &Config) -> bool {
    !config.listen.ip().is_loopback()
}
