//! What an order led to, in words and tables.

use std::time::Duration;

use crate::clock::{now_ms, span};
use crate::orders::Answer;

pub(super) fn told(answer: &Answer) -> String {
    match answer {
        Answer::Done => "Done.\n".to_owned(),
        Answer::Ahead => "No account has this device now: it is shut out from when one does.\n".to_owned(),
        Answer::NotFound | Answer::Refused(_) => String::new(),
        Answer::Invite { number, code } => {
            format!(
                "{code}\n\nInvite {number}. Its code is shown this once: the server keeps a hash of it.\n"
            )
        }
        Answer::Invites(invites) => table(
            &["number", "uses left", "expires", "made", "note"],
            invites.iter().map(|invite| {
                [
                    invite.number.to_string(),
                    invite.uses_left.to_string(),
                    until(invite.expires_at_ms),
                    since(invite.created_at_ms),
                    invite.note.clone(),
                ]
            }),
        ),
        Answer::Blocks(blocks) => table(
            &["prefix", "ends", "made", "note"],
            blocks.iter().map(|block| {
                [
                    plain(&block.prefix).to_owned(),
                    until(block.until_ms),
                    since(block.created_at_ms),
                    block.note.clone(),
                ]
            }),
        ),
        Answer::Devices(devices) => table(
            &["device", "waiting", "bytes", "sessions", "blocked"],
            devices.iter().map(|device| {
                [
                    device.id.clone(),
                    device.waiting_messages.to_string(),
                    device.waiting_bytes.to_string(),
                    device.sessions.to_string(),
                    if device.blocked { "yes" } else { "no" }.to_owned(),
                ]
            }),
        ),
    }
}

fn until(at_ms: Option<u64>) -> String {
    match at_ms.map(|at_ms| at_ms.saturating_sub(now_ms())) {
        None => "never".to_owned(),
        Some(0) => "over".to_owned(),
        Some(left) => format!("in {}", span(Duration::from_millis(left).as_secs_f64())),
    }
}

fn since(at_ms: u64) -> String {
    let passed = Duration::from_millis(now_ms().saturating_sub(at_ms));
    format!("{} ago", span(passed.as_secs_f64()))
}

/// A prefix of one address is that address.
fn plain(prefix: &str) -> &str {
    let whole = if prefix.contains(':') { "/128" } else { "/32" };
    prefix.strip_suffix(whole).unwrap_or(prefix)
}

/// Columns as wide as they need to be; without rows, a word.
fn table<const N: usize>(heads: &[&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut lines = vec![heads.map(str::to_owned)];
    lines.extend(rows);
    if lines.len() == 1 {
        return "none\n".to_owned();
    }
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for line in &lines {
        let cells = line
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let joined = cells.collect::<Vec<_>>().join("  ");
        text.push_str(joined.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_what_is_in_it() {
        let rows = [
            ["1".to_owned(), "for Ada".to_owned()],
            ["12".to_owned(), String::new()],
        ];
        assert_eq!(
            table(&["number", "note"], rows.into_iter()),
            "number  note\n1       for Ada\n12\n"
        );
        assert_eq!(table(&["number", "note"], std::iter::empty()), "none\n");
    }

    #[test]
    fn a_prefix_of_one_address_is_shown_as_that() {
        for (prefix, shown) in [
            ("192.0.2.7/32", "192.0.2.7"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("2001:db8::7/128", "2001:db8::7"),
            ("2001:db8::/32", "2001:db8::/32"),
        ] {
            assert_eq!(plain(prefix), shown);
        }
    }
}
