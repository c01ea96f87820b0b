//! Who may change what, and what becomes of it.

use sottovoce_statements::{Account, Address, Role, RosterChange};

use super::{Club, Person};
use crate::common::{Device, dump, reason};

fn role(person: &Person, role: Role) -> RosterChange {
    RosterChange::SetRole {
        address: person.device.address.clone(),
        role,
    }
}

#[tokio::test]
async fn what_a_role_does_not_allow_is_refused_and_leaves_no_trace() {
    let mut club = Club::new().await;
    let (alice, bob, carol) = (club.alice.clone(), club.bob.clone(), club.carol.clone());
    let dave = Person::join(&club.clients, "dave").await;
    let (a, b, c, d) = (
        alice.device.address.clone(),
        bob.device.address.clone(),
        carol.device.address.clone(),
        dave.device.address.clone(),
    );
    club.change(&alice, role(&bob, Role::Admin)).await.unwrap();
    let refused: Vec<(&Person, RosterChange)> = vec![
        // Plain members change nobody.
        (&carol, RosterChange::Add(dave.account())),
        (&carol, RosterChange::Remove(b.clone())),
        (&carol, RosterChange::Ban(d.clone())),
        (&carol, RosterChange::Unban(d.clone())),
        (&carol, role(&carol, Role::Admin)),
        (&carol, RosterChange::HandOver(c.clone())),
        // Admins neither their equals nor the owner, and they give no roles.
        (&bob, RosterChange::Remove(a.clone())),
        (&bob, RosterChange::Ban(a.clone())),
        (&bob, role(&carol, Role::Admin)),
        (&bob, RosterChange::HandOver(b.clone())),
        // The owner cannot leave, nor do what is done or cannot be.
        (&alice, RosterChange::Leave),
        (&alice, RosterChange::Add(bob.account())),
        (&alice, RosterChange::Remove(d.clone())),
        (&alice, RosterChange::Unban(b.clone())),
        (&alice, role(&bob, Role::Admin)),
        (&alice, RosterChange::HandOver(d)),
    ];
    let before = dump(&club.server.database).await;
    for (who, change) in refused {
        let what = format!("{} {change:?}", who.device.address);
        let status = club.append(who, club.entry(who, change)).await.expect_err(&what);
        assert_eq!(reason(&status), "ROSTER_REFUSED", "{what}");
    }
    // To who is not in it the channel is not there, whatever the entry.
    let status = club.append(&dave, club.entry(&dave, RosterChange::Confirm)).await;
    assert_eq!(reason(&status.unwrap_err()), "CHANNEL_UNKNOWN");
    assert_eq!(dump(&club.server.database).await, before);
    club.server.stop().await;
}

#[tokio::test]
async fn every_change_that_is_allowed_is_made_and_counts_from_then_on() {
    let mut club = Club::new().await;
    let (alice, bob, carol) = (club.alice.clone(), club.bob.clone(), club.carol.clone());
    let dave = Person::join(&club.clients, "dave").await;
    let c = carol.device.address.clone();
    club.change(&alice, role(&bob, Role::Admin)).await.unwrap();
    club.change(&bob, RosterChange::Add(dave.account()))
        .await
        .unwrap();
    club.change(&dave, RosterChange::Confirm).await.unwrap();
    club.change(&bob, RosterChange::Ban(c.clone())).await.unwrap();
    assert_unknown(&club, &carol).await;
    // Not before the ban is lifted, and then anew.
    let again = club.entry(&bob, RosterChange::Add(carol.account()));
    assert_eq!(
        reason(&club.append(&bob, again).await.unwrap_err()),
        "ROSTER_REFUSED"
    );
    club.change(&bob, RosterChange::Unban(c.clone())).await.unwrap();
    assert_unknown(&club, &carol).await;
    club.change(&bob, RosterChange::Add(carol.account()))
        .await
        .unwrap();
    club.change(&carol, RosterChange::Confirm).await.unwrap();
    club.change(&bob, RosterChange::Remove(c)).await.unwrap();
    assert_unknown(&club, &carol).await;
    // The channel changes hands; who had it is an admin, and may leave.
    club.change(&alice, RosterChange::HandOver(bob.device.address.clone()))
        .await
        .unwrap();
    let no_more = club.entry(&alice, role(&dave, Role::Admin));
    assert_eq!(
        reason(&club.append(&alice, no_more).await.unwrap_err()),
        "ROSTER_REFUSED"
    );
    club.change(
        &alice,
        RosterChange::Ban(Address::parse("mallory@localhost").unwrap()),
    )
    .await
    .unwrap();
    club.change(&alice, RosterChange::Leave).await.unwrap();
    assert_unknown(&club, &alice).await;
    club.change(&bob, role(&dave, Role::Admin)).await.unwrap();
    club.change(&dave, RosterChange::Leave).await.unwrap();
    let members: Vec<_> = club
        .roster
        .members()
        .map(|(address, _)| address.as_str())
        .collect();
    assert_eq!(members, ["bob@localhost"]);
    club.server.stop().await;
}

/// Neither to sign nor to post.
async fn assert_unknown(club: &Club, who: &Person) {
    let status = club.append(who, club.entry(who, RosterChange::Confirm)).await;
    assert_eq!(reason(&status.unwrap_err()), "CHANNEL_UNKNOWN");
    let status = club.post(who, club.letter(1)).await;
    assert_eq!(reason(&status.unwrap_err()), "CHANNEL_UNKNOWN");
}

#[tokio::test]
async fn whoever_is_added_is_an_account_of_this_server_under_its_own_key() {
    let club = Club::new().await;
    let dave = Person::join(&club.clients, "dave").await;
    let elsewhere = Address::parse("dave@elsewhere.example").unwrap();
    let nobody = Address::parse("nobody@localhost").unwrap();
    let account_key = dave.device.account_key();
    for (address, key, expected) in [
        (elsewhere, account_key, "SERVER_NOT_LOCAL"),
        (nobody, account_key, "ACCOUNT_UNKNOWN"),
        (
            dave.device.address.clone(),
            Device::named("mallory").account_key(),
            "ROSTER_REFUSED",
        ),
    ] {
        let account = Account {
            address,
            account_key: key,
        };
        let entry = club.entry(&club.alice, RosterChange::Add(account));
        let status = club.append(&club.alice, entry).await.unwrap_err();
        assert_eq!(reason(&status), expected);
    }
    club.server.stop().await;
}
