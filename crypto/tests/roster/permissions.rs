//! Who may sign what: every change, by every role, about everybody.

use sottovoce_crypto::statements::{Account, Address, ApplyError, ChangeError, Role, RosterChange};

use crate::people::{Channel, Person};

type Verdict = Result<(), ChangeError>;

const OK: Verdict = Ok(());
const NO: Verdict = Err(ChangeError::NotAllowed);
const SAME: Verdict = Err(ChangeError::NoChange);
const NOBODY: Verdict = Err(ChangeError::NoSuchMember);
const BANNED: Verdict = Err(ChangeError::Banned);
const FREE: Verdict = Err(ChangeError::NotBanned);
const STAYS: Verdict = Err(ChangeError::OwnerStays);
const STRANGER: Verdict = Err(ChangeError::NotAMember);

/// Makes the change, and shows that the roster's builder and its verifier judge alike.
fn judge(channel: &Channel, signer: &Person, change: &RosterChange) -> Verdict {
    let mut roster = channel.roster.clone();
    let before = roster.to_bytes();
    let built = roster.next_entry(change.clone(), signer.signer()).map(|_| ());
    let entry = signer.entry(&roster, change.clone());
    let applied = match roster.apply(&entry) {
        Ok(applied) => {
            assert_eq!((applied.head, roster.head()), (entry.head(), entry.head()));
            Ok(())
        }
        Err(ApplyError::Refused(refusal)) => {
            assert_eq!(roster.to_bytes(), before, "{change:?}");
            Err(refusal)
        }
        Err(other) => panic!("{change:?}: {other}"),
    };
    assert_eq!(built, applied, "{change:?} by {}", signer.address);
    applied
}

#[test]
fn every_role_may_sign_what_the_table_says_and_nothing_else() {
    let channel = Channel::new(1);
    let account = |person: &Person| RosterChange::Add(person.account());
    let about = |change: fn(Address) -> RosterChange, person: &Person| change(person.address.clone());
    let role = |person: &Person, role| RosterChange::SetRole {
        address: person.address.clone(),
        role,
    };
    let (owner, admin, other_admin) = (&channel.owner, &channel.admin, &channel.other_admin);
    let (member, other_member) = (&channel.member, &channel.other_member);
    let (outsider, banned) = (&channel.outsider, &channel.banned);
    let (remove, ban) = (RosterChange::Remove, RosterChange::Ban);
    let (unban, hand_over) = (RosterChange::Unban, RosterChange::HandOver);

    // Signed by: owner, admin, member, outsider.
    let table = [
        (account(outsider), [OK, OK, NO, STRANGER]),
        (account(owner), [SAME, SAME, NO, STRANGER]),
        (account(admin), [SAME, SAME, NO, STRANGER]),
        (account(member), [SAME, SAME, NO, STRANGER]),
        (account(banned), [BANNED, BANNED, NO, STRANGER]),
        (about(remove, owner), [NO, NO, NO, STRANGER]),
        (about(remove, admin), [OK, NO, NO, STRANGER]),
        (about(remove, other_admin), [OK, NO, NO, STRANGER]),
        (about(remove, member), [OK, OK, NO, STRANGER]),
        (about(remove, other_member), [OK, OK, NO, STRANGER]),
        (about(remove, outsider), [NOBODY, NOBODY, NO, STRANGER]),
        (about(remove, banned), [NOBODY, NOBODY, NO, STRANGER]),
        (about(ban, owner), [NO, NO, NO, STRANGER]),
        (about(ban, admin), [OK, NO, NO, STRANGER]),
        (about(ban, other_admin), [OK, NO, NO, STRANGER]),
        (about(ban, member), [OK, OK, NO, STRANGER]),
        (about(ban, other_member), [OK, OK, NO, STRANGER]),
        (about(ban, outsider), [OK, OK, NO, STRANGER]),
        (about(ban, banned), [SAME, SAME, NO, STRANGER]),
        (about(unban, owner), [FREE, FREE, NO, STRANGER]),
        (about(unban, admin), [FREE, FREE, NO, STRANGER]),
        (about(unban, member), [FREE, FREE, NO, STRANGER]),
        (about(unban, outsider), [FREE, FREE, NO, STRANGER]),
        (about(unban, banned), [OK, OK, NO, STRANGER]),
        (RosterChange::Leave, [STAYS, OK, OK, STRANGER]),
        (role(owner, Role::Admin), [NO, NO, NO, STRANGER]),
        (role(owner, Role::Member), [NO, NO, NO, STRANGER]),
        (role(admin, Role::Admin), [SAME, NO, NO, STRANGER]),
        (role(admin, Role::Member), [OK, NO, NO, STRANGER]),
        (role(other_admin, Role::Member), [OK, NO, NO, STRANGER]),
        (role(member, Role::Admin), [OK, NO, NO, STRANGER]),
        (role(member, Role::Member), [SAME, NO, NO, STRANGER]),
        (role(other_member, Role::Admin), [OK, NO, NO, STRANGER]),
        (role(outsider, Role::Admin), [NOBODY, NO, NO, STRANGER]),
        (role(banned, Role::Member), [NOBODY, NO, NO, STRANGER]),
        (about(hand_over, owner), [NO, NO, NO, STRANGER]),
        (about(hand_over, admin), [OK, NO, NO, STRANGER]),
        (about(hand_over, member), [OK, NO, NO, STRANGER]),
        (about(hand_over, outsider), [NOBODY, NO, NO, STRANGER]),
        (RosterChange::Confirm, [OK, OK, OK, STRANGER]),
    ];
    for (change, verdicts) in table {
        for (signer, verdict) in [owner, admin, member, outsider].into_iter().zip(verdicts) {
            assert_eq!(
                judge(&channel, signer, &change),
                verdict,
                "{change:?} by {}",
                signer.address
            );
        }
        assert_eq!(judge(&channel, banned, &change), STRANGER);
    }
}

#[test]
fn changes_do_what_they_say() {
    let channel = Channel::new(2);
    let (owner, admin, member) = (&channel.owner, &channel.admin, &channel.member);
    let mut roster = channel.roster.clone();
    let role = |roster: &sottovoce_crypto::statements::Roster, person: &Person| {
        roster.member(&person.address).map(|member| member.role)
    };
    assert_eq!((roster.members().len(), roster.banned().len()), (5, 1));
    assert_eq!(roster.departed_at(), 0);

    owner.changes(&mut roster, RosterChange::HandOver(member.address.clone()));
    assert_eq!(*roster.owner(), member.address);
    assert_eq!(role(&roster, member), Some(Role::Owner));
    assert_eq!(
        role(&roster, owner),
        Some(Role::Admin),
        "who hands over stays as an admin"
    );
    assert_eq!(roster.departed_at(), 0, "nobody lost access");

    owner.changes(&mut roster, RosterChange::Leave);
    assert_eq!(role(&roster, owner), None);
    assert_eq!(roster.departed_at(), roster.head().height);

    admin.changes(
        &mut roster,
        RosterChange::Ban(channel.other_member.address.clone()),
    );
    assert_eq!(role(&roster, &channel.other_member), None);
    assert!(roster.is_banned(&channel.other_member.address));
    let departed_at = roster.departed_at();
    assert_eq!(departed_at, roster.head().height);

    admin.changes(&mut roster, RosterChange::Ban(channel.outsider.address.clone()));
    assert_eq!(
        roster.departed_at(),
        departed_at,
        "who was no member loses nothing"
    );
    admin.changes(
        &mut roster,
        RosterChange::Unban(channel.other_member.address.clone()),
    );
    assert!(!roster.is_banned(&channel.other_member.address));
    assert_eq!(
        role(&roster, &channel.other_member),
        None,
        "a lifted ban is no membership"
    );
    admin.changes(&mut roster, RosterChange::Add(channel.other_member.account()));
    assert_eq!(role(&roster, &channel.other_member), Some(Role::Member));
    assert_eq!(roster.departed_at(), departed_at);
    let view = roster.view();
    assert_eq!(
        (view.height, view.head),
        (roster.head().height, roster.head().hash)
    );
    assert_eq!(view.departed_at, departed_at);
}

#[test]
fn a_member_under_another_account_key_is_no_member() {
    let channel = Channel::new(3);
    let impostor = Person::new(&mut crate::people::rng(99), "admin");
    let mut roster = channel.roster.clone();
    let add = RosterChange::Add(channel.outsider.account());
    assert_eq!(judge(&channel, &impostor, &add), STRANGER);
    // Whose key has changed is added again under the new one, by somebody else and in sight of all.
    let again = Account {
        address: channel.admin.address.clone(),
        account_key: impostor.account.public(),
    };
    channel
        .owner
        .changes(&mut roster, RosterChange::Remove(again.address.clone()));
    channel.owner.changes(&mut roster, RosterChange::Add(again));
    impostor.changes(&mut roster, RosterChange::Confirm);
    let refused = roster.next_entry(RosterChange::Confirm, channel.admin.signer());
    assert_eq!(refused.unwrap_err(), ChangeError::NotAMember);
}

#[test]
fn a_genesis_cannot_follow() {
    let channel = Channel::new(4);
    let again = RosterChange::Genesis { salt: [7; 16] };
    let refused = channel.roster.next_entry(again, channel.owner.signer());
    assert_eq!(refused.unwrap_err(), ChangeError::AlreadyBegun);
}
