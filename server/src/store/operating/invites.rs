//! Invites: who shows one may make an account. The database holds their hashes; the code itself is
//! shown once, to the operator who makes it.

use std::convert::Infallible;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::db::{Conn, sql};
use super::super::rows::{from_db, to_db};
use super::super::writer::{Tx, Write, WriteError};
use super::super::{ReadError, Store};

/// What a code is written with: no letter or digit looks like another (Crockford's base 32).
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Letters of a code: 100 bits, which nobody guesses, neither at the server nor from its database.
const CODE_LEN: usize = 20;

/// Letters said in one breath.
const GROUP_LEN: usize = 5;

/// An invite's code. Not printed by accident: it lets in whoever reads it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct NewInvite(String);

impl NewInvite {
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; CODE_LEN];
        getrandom::fill(&mut bytes)?;
        let mut code = String::with_capacity(CODE_LEN + CODE_LEN / GROUP_LEN);
        for (place, byte) in bytes.into_iter().enumerate() {
            if place > 0 && place % GROUP_LEN == 0 {
                code.push('-');
            }
            // 256 is a multiple of 32: every letter is as likely.
            let letter = LETTERS.get(usize::from(byte % 32)).copied().unwrap_or(b'0');
            code.push(char::from(letter));
        }
        Ok(Self(code))
    }

    /// The code, to be shown to the operator.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        hash(&self.0)
    }
}

impl std::fmt::Debug for NewInvite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Of the code as a person may type it: in capitals, without its hyphens, with the letters Crockford's
/// alphabet leaves out.
fn hash(code: &str) -> [u8; 32] {
    let letters = code.chars().filter(|c| !c.is_whitespace() && *c != '-');
    let plain: String = letters
        .map(|c| match c.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            c => c,
        })
        .collect();
    Sha256::digest(plain.as_bytes()).into()
}

/// Takes one use of an invite, in the transaction of the registration that shows it. False when there is
/// none: unknown, used up or expired.
pub(crate) async fn use_invite(conn: &mut Conn<'_>, code: &str, now_ms: u64) -> Result<bool, sqlx::Error> {
    let taken = sql(
        "UPDATE invites SET uses_left = uses_left - 1 WHERE hash = $1 AND uses_left > 0 \
         AND (expires_at_ms IS NULL OR expires_at_ms > $2)",
    )
    .bind(hash(code))
    .bind(to_db(now_ms))
    .execute(conn)
    .await?;
    Ok(taken == 1)
}

/// Whether an invite would let somebody in.
pub(crate) async fn is_invited(conn: &mut Conn<'_>, code: &str, now_ms: u64) -> Result<bool, sqlx::Error> {
    let found: Option<(i64,)> = sql("SELECT number FROM invites WHERE hash = $1 AND uses_left > 0 \
         AND (expires_at_ms IS NULL OR expires_at_ms > $2)")
    .bind(hash(code))
    .bind(to_db(now_ms))
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// Makes an invite. Gives back its number.
#[derive(Clone, Debug)]
pub(crate) struct CreateInvite {
    pub(crate) hash: [u8; 32],
    pub(crate) uses: u32,
    pub(crate) expires_at_ms: Option<u64>,
    pub(crate) note: String,
    pub(crate) now_ms: u64,
}

/// An invite as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Invite {
    pub(crate) number: u64,
    pub(crate) uses_left: u64,
    pub(crate) expires_at_ms: Option<u64>,
    pub(crate) created_at_ms: u64,
    pub(crate) note: String,
}

/// An invite, as the operator names it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WhichInvite {
    /// By what it is called in the list.
    Number(u64),
    /// By the hash of its code.
    Hash([u8; 32]),
}

/// Neither a number nor a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither an invite's number, which `invite list` shows, nor its code")]
pub(crate) struct WhichInviteError;

impl WhichInvite {
    /// Reads a number or a code, as they are typed.
    pub(crate) fn parse(text: &str) -> Result<Self, WhichInviteError> {
        if let Ok(number) = text.trim().parse()
            && text.trim().len() < CODE_LEN
        {
            return Ok(Self::Number(number));
        }
        let letters = text.chars().filter(|c| !c.is_whitespace() && *c != '-');
        match letters.filter(char::is_ascii_alphanumeric).count() {
            CODE_LEN => Ok(Self::Hash(hash(text))),
            _ => Err(WhichInviteError),
        }
    }
}

impl std::fmt::Debug for WhichInvite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "Number({number})"),
            Self::Hash(_) => f.write_str("Hash([redacted])"),
        }
    }
}

/// Takes an invite back. Tells whether there was one.
#[derive(Clone, Debug)]
pub(crate) struct RevokeInvite(pub(crate) WhichInvite);

impl Write for CreateInvite {
    type Output = u64;
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<u64, WriteError<Infallible>> {
        let (number,): (i64,) = sql(
            "INSERT INTO invites (hash, number, uses_left, expires_at_ms, created_at_ms, note) \
             SELECT $1, COALESCE(MAX(number), 0) + 1, $2, $3, $4, $5 FROM invites RETURNING number",
        )
        .bind(self.hash)
        .bind(i64::from(self.uses))
        .bind(self.expires_at_ms.map(to_db))
        .bind(to_db(self.now_ms))
        .bind(self.note.as_str())
        .fetch_one(&mut tx.conn)
        .await?;
        Ok(from_db(number))
    }
}

impl Write for RevokeInvite {
    type Output = bool;
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, WriteError<Infallible>> {
        let deletion = match self.0 {
            WhichInvite::Number(number) => sql("DELETE FROM invites WHERE number = $1").bind(to_db(number)),
            WhichInvite::Hash(hash) => sql("DELETE FROM invites WHERE hash = $1").bind(hash),
        };
        Ok(deletion.execute(&mut tx.conn).await? > 0)
    }
}

impl Store {
    /// All invites, used up and expired ones too, until a sweep has taken them.
    pub(crate) async fn invites(&self) -> Result<Vec<Invite>, ReadError> {
        let mut reader = self.read().await?;
        let rows: Vec<(i64, i64, Option<i64>, i64, String)> =
            sql("SELECT number, uses_left, expires_at_ms, created_at_ms, note FROM invites ORDER BY number")
                .fetch_all(&mut reader.conn())
                .await?;
        let invite = |(number, uses_left, expires_at_ms, created_at_ms, note): (
            i64,
            i64,
            Option<i64>,
            i64,
            String,
        )| Invite {
            number: from_db(number),
            uses_left: from_db(uses_left),
            expires_at_ms: expires_at_ms.map(from_db),
            created_at_ms: from_db(created_at_ms),
            note,
        };
        Ok(rows.into_iter().map(invite).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_typed_and_not_printed() {
        let code = NewInvite::random().unwrap();
        assert_eq!(code.reveal().len(), CODE_LEN + 3);
        assert!(!format!("{code:?}").contains(code.reveal()));
        assert_ne!(NewInvite::random().unwrap(), code);
        let typed = format!(" {} ", code.reveal().to_uppercase().replace('-', " "));
        assert_eq!(hash(&typed), code.hash());
        assert_eq!(hash("OIL-0"), hash("0110"));
        assert_ne!(hash("0110"), hash("0111"));
        let which = WhichInvite::parse(&typed).unwrap();
        assert_eq!(which, WhichInvite::Hash(code.hash()));
        assert_eq!(format!("{which:?}"), "Hash([redacted])");
        assert_eq!(WhichInvite::parse(" 12 "), Ok(WhichInvite::Number(12)));
        for wrong in ["", "twelve", "-1", "0000-0000", "é"] {
            assert_eq!(WhichInvite::parse(wrong), Err(WhichInviteError), "{wrong}");
        }
    }
}
