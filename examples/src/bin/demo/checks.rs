//! What the demo claims, and whether it was so.

use std::process::ExitCode;

#[derive(Default)]
pub(crate) struct Checks(Vec<(String, bool)>);

impl Checks {
    pub(crate) fn expect(&mut self, claim: impl Into<String>, holds: bool) {
        self.0.push((claim.into(), holds));
    }

    /// Prints every check; the exit code says whether all held.
    pub(crate) fn conclude(self) -> ExitCode {
        println!("\nChecked:");
        for (claim, holds) in &self.0 {
            println!("  {} {claim}", if *holds { "✓" } else { "✗ NOT SO:" });
        }
        let held = self.0.iter().filter(|(_, holds)| *holds).count();
        println!("\n{held} of {} checks held.", self.0.len());
        if held == self.0.len() && held > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
